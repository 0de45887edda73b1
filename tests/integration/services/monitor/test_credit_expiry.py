"""Credits whose life is over are booked, once, also when the read model is behind or an account is broken."""

import asyncio

from ledger import commands as c
from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.balances import BALANCES
from services.monitor.credit_expiry import ExpirySweep
from tests.integration.services.maintenance.conftest import count

LIFE_US = 2_000_000


async def over(pool) -> None:
    """Until every life of LIFE_US that has begun is over, by the database's clock."""
    await pool.execute("SELECT pg_sleep($1)", LIFE_US / 1e6 + 0.01)


async def give(ledger: Ledger, pool, account: str, *lives_us: int | None) -> None:
    now_us = await pool.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
    for number, life_us in enumerate(lives_us):
        ends_at_us = None if life_us is None else now_us + life_us
        grant = c.GrantCredits(account, 2, "manual", "x", None, ends_at_us)
        await ledger.execute(grant, key=f"grant:{account}:{number}")


async def catch_up(ledger: Ledger, pool) -> None:
    runner = Runner(pool, BALANCES)
    while events := await ledger.read.events_after((await runner.cursor()).position):
        await runner.apply(events)


async def test_what_is_over_is_booked_once_whoever_asks(ledger: Ledger, pool, database_url: str):
    hour_us = 3_600_000_000
    await asyncio.gather(
        give(ledger, pool, "a", LIFE_US, LIFE_US, hour_us),
        give(ledger, pool, "b", LIFE_US),
        give(ledger, pool, "c", None),
    )
    await catch_up(ledger, pool)
    one, other = ExpirySweep(ledger, pool, page_accounts=1), ExpirySweep(ledger, pool)
    assert await one.run_once() == 0
    await over(pool)

    assert await one.run_once() == 2
    # The read model still shows them as due: asking again changes nothing.
    await asyncio.gather(other.run_once(), one.run_once())
    assert await count(pool, "CreditsExpired") == 3
    await catch_up(ledger, pool)
    rows = {row["account"]: row for row in await pool.fetch("SELECT * FROM balances")}
    assert {name: (row["balance"], row["expired"]) for name, row in rows.items()} == {
        "a": (2, 4), "b": (0, 2), "c": (2, 0),
    }  # fmt: skip
    assert rows["b"]["next_expiry_at_us"] is None
    assert await one.run_once() == 0


async def test_one_account_that_cannot_be_read_does_not_keep_the_others(
    ledger: Ledger, pool, owner, database_url: str
):
    await give(ledger, pool, "a", LIFE_US)
    await give(ledger, pool, "b", LIFE_US)
    await catch_up(ledger, pool)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute(
        "UPDATE events SET data = '{}' WHERE stream = 'account-a' AND type = 'CreditsGranted'"
    )
    await over(pool)
    async with Ledger(database_url, pool) as cold:
        await ExpirySweep(cold, pool).run_once()
    assert await pool.fetchval("SELECT stream FROM events WHERE type = 'CreditsExpired'") == "account-b"


async def test_an_end_that_comes_again_is_booked_again(ledger: Ledger, pool):
    """What had expired by a clock that was ahead came back with its old end of life."""
    await give(ledger, pool, "a", LIFE_US)
    await catch_up(ledger, pool)
    (lot,) = (await ledger.read.account("a")).lots
    position = await pool.fetchval("SELECT position FROM balances WHERE account = 'a'")
    early = c.RevokeCredits("a", 2, "as the monitor books it by a clock that is ahead")
    await ledger.execute(early, key=f"expire:a:{lot.expires_at_us}")
    back = c.GrantCredits("a", 2, "manual", "back", None, lot.expires_at_us)
    await ledger.execute(back, key="back")
    await catch_up(ledger, pool)
    await over(pool)
    assert await pool.fetchval("SELECT position FROM balances WHERE account = 'a'") > position
    assert await ExpirySweep(ledger, pool).run_once() == 1
    assert await count(pool, "CreditsExpired") == 1
