"""Snapshots of long accounts: used when they fit the log, left alone when not, never more than a cache."""

import asyncio

import asyncpg
import pytest
from msgspec.structs import replace

from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.decider import fold, initial
from ledger.errors import InsufficientCreditsError
from ledger.log import snapshots
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from ledger.log.snapshots import FORMAT, Snapshot, keep_snapshots
from tests.integration.ledger.conftest import order, rich
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """A snapshot every ten versions."""
    monkeypatch.setattr(snapshots, "EVERY_VERSIONS", 10)
    read = snapshots.query
    monkeypatch.setattr(
        snapshots, "query", lambda name: read(name).replace("version % 1000 = 0", "version % 10 = 0")
    )


async def stored(owner, stream="account-a"):
    return await owner.fetchrow("SELECT * FROM snapshots WHERE stream = $1", stream)


async def full_fold(ledger, stream="account-a"):
    state = initial(stream)
    for event in await ledger.read.stream(stream):
        state = fold(state, event.type, event.data)
    return state


async def with_snapshot(ledger, owner):
    """Account a with 12 events and a snapshot at its tenth; 90 credits are left."""
    await rich(ledger, "a", 99)
    for n in range(7):
        await ledger.execute(order("a", f"o{n}"), key=f"order:o{n}")
    assert await keep_snapshots(ledger.read.pool) == 1
    for n in range(7, 9):
        await ledger.execute(order("a", f"o{n}"), key=f"order:o{n}")
    assert await keep_snapshots(ledger.read.pool) == 0
    return await stored(owner)


async def forge(owner, row, **change):
    """Another state in the stored snapshot, well sealed, so that it shows who reads it."""
    state = AccountState(opened=True, terms="1", balance=0)
    made = Snapshot(row["stream"], row["version"], row["position"], row["hash"], replace(state, **change))
    await owner.execute("UPDATE snapshots SET state = $1::text::json", made.sealed.decode())


async def test_crossing_a_multiple_keeps_a_snapshot_that_equals_the_full_fold(
    ledger, owner, database_url, pool
):
    row = await with_snapshot(ledger, owner)
    assert (row["version"], row["format"]) == (10, FORMAT)
    event = (await ledger.read.stream("account-a"))[9]
    assert (row["position"], row["hash"]) == (event.position, event.hash)
    assert await ledger.read.account("a") == await full_fold(ledger)
    async with Ledger(database_url, pool) as cold:
        await cold.execute(order("a", "last", price=90), key="order:last")
        with pytest.raises(InsufficientCreditsError):
            await cold.execute(order("a", "over"), key="order:over")


async def test_a_snapshot_that_fits_the_log_is_what_cold_accounts_start_from(
    ledger, owner, database_url, pool
):
    row = await with_snapshot(ledger, owner)
    await forge(owner, row, terms="from the snapshot")
    assert (await ledger.read.account("a")).terms == "from the snapshot"
    await forge(owner, row, terms="")
    async with Ledger(database_url, pool) as cold:
        receipt = await cold.execute(c.AcceptTerms("a", "1", 0), key="terms:again")
        assert receipt.events == 1  # to an account that folds its events these terms are old


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE snapshots SET format = 'another'",
        "UPDATE snapshots SET hash = sha256('x')",
        "UPDATE snapshots SET position = position + 1",
        "UPDATE snapshots SET version = version - 1",
        "UPDATE snapshots SET stream = 'account-b'",
        "UPDATE snapshots SET state = '{}'",
        "UPDATE snapshots SET state = '[1]'",
        """UPDATE snapshots SET state = replace(state::text, 'snapshot', 'torn')::json""",
        "DELETE FROM snapshots",
    ],
)
async def test_a_snapshot_that_does_not_fit_is_ignored(ledger, owner, database_url, pool, damage):
    row = await with_snapshot(ledger, owner)
    await forge(owner, row, terms="from the snapshot")
    await owner.execute(damage)
    assert await ledger.read.account("a") == await full_fold(ledger)
    assert await ledger.read.account("b") == AccountState()
    async with Ledger(database_url, pool) as cold:
        await cold.execute(order("a", "last", price=90), key="order:last")
    assert (await ledger.read.account("a")).balance == 0


async def test_a_snapshot_of_a_log_that_went_back_is_ignored_and_replaced(ledger, owner, database_url, pool):
    await with_snapshot(ledger, owner)
    await owner.execute("ALTER TABLE events DISABLE TRIGGER events_append_only")
    await owner.execute("DELETE FROM events WHERE position > 10; DELETE FROM open_jobs WHERE position > 10")
    await owner.execute("UPDATE snapshots SET version = 50")
    async with Ledger(database_url, pool) as after:
        for n in range(20):
            await after.execute(c.GrantCredits("a", 1, "manual", "x"), key=f"grant:{n}")
        await owner.execute("UPDATE snapshots SET version = 15")
        assert await keep_snapshots(pool) == 1
    row = await stored(owner)
    event = (await ledger.read.stream("account-a"))[-1]
    assert (row["version"], row["position"], row["hash"]) == (event.version, event.position, event.hash)
    assert await ledger.read.account("a") == await full_fold(ledger)


async def test_an_account_whose_snapshot_is_gone_is_kept_as_it_is_now(ledger, owner, pool):
    await with_snapshot(ledger, owner)
    await owner.execute("DELETE FROM snapshots")
    assert await keep_snapshots(pool) == 1
    assert (await stored(owner))["version"] == 12


async def test_only_so_many_are_made_in_one_go(ledger, owner, pool):
    for name in "abc":
        await rich(ledger, name)
        for n in range(8):
            await ledger.execute(c.GrantCredits(name, 1, "manual", "x"), key=f"grant:{name}{n}")
    assert [await keep_snapshots(pool, 2) for _ in range(3)] == [2, 1, 0]
    assert await owner.fetchval("SELECT count(*) FROM snapshots WHERE version = 11") == 3


async def test_a_long_account_is_read_in_pages(ledger, owner, database_url, pool, monkeypatch):
    await with_snapshot(ledger, owner)
    await rich(ledger, "b", 5)
    await owner.execute("DELETE FROM snapshots")
    for page in (1, 4, 12):
        monkeypatch.setattr(snapshots, "PAGE_EVENTS", page)
        assert await ledger.read.account("a") == await full_fold(ledger)
        async with Ledger(database_url, pool) as cold:
            orders = [cold.execute(order(name, f"{name}{page}"), key=f"order:{name}{page}") for name in "ab"]
            await asyncio.gather(*orders)
    assert (await ledger.read.account("b")).balance == 2
    assert await ledger.read.account("a") == await full_fold(ledger)


async def keep_for_ever(pool):
    while True:
        await keep_snapshots(pool)
        await asyncio.sleep(0.01)


async def test_snapshots_are_kept_under_load_without_harm(ledger, owner, database_url, pool):
    await rich(ledger, "a", 10_000)
    keeping = asyncio.create_task(keep_for_ever(pool))
    async with Ledger(database_url, pool) as other:
        await asyncio.gather(
            *[
                who.execute(order("a", f"{name}{n}"), key=f"order:{name}{n}")
                for n in range(300)
                for name, who in (("x", ledger), ("y", other))
            ]
        )

    async def kept() -> bool:
        return bool((await stored(owner))["version"] > 500)

    await eventually(kept)
    keeping.cancel()
    assert await ledger.read.account("a") == await full_fold(ledger)
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def test_a_reader_without_the_right_to_write_reads_all_the_same(ledger, owner):
    await with_snapshot(ledger, owner)
    await owner.execute("SET ROLE neurocards_reader")
    assert (await stored(owner))["version"] == 10
    with pytest.raises(Exception, match="permission denied"):
        await owner.execute("DELETE FROM snapshots")


async def test_reading_is_planned_once(database_url):
    async with asyncpg.create_pool(database_url, min_size=1, max_size=1) as pool:
        for _ in range(10):  # after five Postgres decides
            await LogReader(pool).account("a")
        planned = "SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%FROM snapshots%'"
        assert await pool.fetchval(planned) > 0
