"""Search, and an account as of any moment."""

import time
from functools import partial

import pytest

from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.log.ledger import Ledger
from ledger.log.snapshots import FORMAT, Snapshot, load, query
from ledger.postgres import Connection, Pool
from projections.engine.registry import PROJECTIONS
from projections.reports.balance_as_of import balance_at
from projections.reports.log_position import AsOf
from services.dashboard.pages import people
from services.dashboard.render import Renderer
from services.dashboard.routes import Role
from services.platform.settings import Settings
from tests.support.dashboard import open_pages, page
from tests.support.dashboard_world import catch_up
from tests.support.traffic import Traffic


async def test_search_leads_to_the_one_thing_and_lists_several(
    pool: Pool,
    ledger: Ledger,
    settings: Settings,
    owner: Connection,
    traffic: Traffic,
) -> None:
    await traffic.open_accounts(1)
    await traffic.pay()
    [job] = await traffic.order(1)
    await owner.execute("INSERT INTO accounts (account, telegram_id) VALUES ('a0', 42), ('other', 3)")
    for name in ("payments", "job_status"):
        await catch_up(pool, name)
    payment = await pool.fetchval("SELECT payment FROM payments")
    places = {
        "a0": "/people/a0",
        job: f"/jobs/{job}",
        job.replace("j", "o").removesuffix("-0"): f"/jobs/{job}",
        payment: f"/payments/{payment}",
        f"yk-{payment}": f"/payments/{payment}",
        f"yookassa:yk-{payment}": f"/payments/{payment}",
        " 2 ": "/events/2",
        "42": "/people/a0",
    }
    async with open_pages(pool, ledger, settings) as client:
        for asked, place in places.items():
            async with client.get("/search", params={"q": asked}, allow_redirects=False) as response:
                assert (response.status, response.headers.get("Location")) == (302, place), asked
        several = await page(client, "/search?q=3")  # a person's Telegram id, and a position
        assert "/people/other" in several and "/events/3" in several
        assert "Nothing is named no&lt;b&gt;." in await page(client, "/search?q=no<b>", 404)
    async with open_pages(pool, ledger, settings, role=Role.auditor) as client:
        await page(client, "/search?q=42", 404)
    read = await owner.fetch("SELECT account, what FROM person_reads ORDER BY number")
    assert [*map(tuple, read)] == [("a0", "page /search"), ("other", "page /search")]


async def test_who_it_is_takes_an_auditor_a_reason(
    pool: Pool, ledger: Ledger, settings: Settings, owner: Connection, traffic: Traffic
) -> None:
    await traffic.open_accounts(2)
    await owner.execute("INSERT INTO accounts (account, telegram_id) VALUES ('a0', 777000777)")
    async with open_pages(pool, ledger, settings, role=Role.auditor) as client:
        assert "777000777" not in await page(client, "/people/a0")
        assert not await owner.fetchval("SELECT count(*) FROM person_reads")
        for account, shown in (("a0", "777000777"), ("a1", "the person is erased")):
            data = {"account": account, "reason": "asked in March", "back": f"/people/{account}"}
            async with client.post("/reveal", data=data) as response:
                assert shown in await response.text()
    kept = await owner.fetch(
        "SELECT actor, account, reason FROM person_reads WHERE what LIKE '%people%' ORDER BY number"
    )
    assert [*map(tuple, kept)] == [
        ("user:" + "0" * 24, account, "asked in March") for account in ("a0", "a1")
    ]


async def test_the_balance_is_that_of_the_moment(
    pool: Pool,
    ledger: Ledger,
    settings: Settings,
    owner: Connection,
    traffic: Traffic,
) -> None:
    await traffic.play(60)
    time_us = await pool.fetchval("SELECT recorded_at_us FROM events WHERE position = 40")
    now_us = await owner.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
    async with open_pages(pool, ledger, settings) as client:
        for at in (AsOf(position=30), AsOf(time_us=time_us), AsOf()):
            expected = await balance_at(pool, "a0", at)
            asked = at.position or (
                await pool.fetchval("SELECT audit.to_time($1)::text", at.time_us or now_us)
            )
            async with client.get("/people/a0", params={"at": str(asked)}) as response:
                assert f'is={expected.balance}">{expected.balance:,}<' in await response.text()
        versions = await pool.fetch("SELECT version, position FROM events WHERE stream = 'account-a0'")
        version, position = versions[len(versions) // 2]
        text = await page(client, f"/people/a0?version={version}")
        expected = await balance_at(pool, "a0", AsOf(position=position))
        assert f'is={expected.balance}">{expected.balance:,}<' in text and f'value="{version}"' in text
        await page(client, "/people/a0?at=999999", 404)
        await page(client, "/people/nobody", 404)


async def test_an_account_too_long_for_a_page_is_read_from_its_snapshot(
    pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "PAGE_EVENTS", 20)
    await traffic.open_accounts(1)
    for number in range(23):
        await ledger.execute(c.RevokeCredits("a0", 1, "fee"), key=f"fee{number}")
    async with open_pages(pool, ledger, settings) as client:
        assert "more events than a page reads" in await page(client, "/people/a0")
        version, state = (await load(pool, ["account-a0"]))["account-a0"]
        row = await pool.fetchrow(query("event_of_version"), "account-a0", version)
        assert row is not None and isinstance(state, AccountState)
        kept = Snapshot("account-a0", version, row["position"], row["hash"], state)
        await pool.execute(query("keep_snapshot"), *kept[:4], FORMAT, kept.sealed.decode())
        await ledger.execute(c.RevokeCredits("a0", 7, "late"), key="late")
        text = await page(client, "/people/a0")
        assert 'is=9970">9,970<' in text and "late" in text and "welcome" not in text
        assert "more events than a page reads" in await page(client, "/people/a0?version=25")
        assert "10,000" in await page(client, "/people/a0?version=3")


async def test_pages_of_read_models_say_how_far_they_are_behind(
    pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traffic.open_accounts(1)
    later = partial(Renderer, now_us=lambda: time.time_ns() // 1000 + 300_000_000)
    monkeypatch.setattr("tests.support.dashboard.Renderer", later)
    pages = ("/people", "/people/a0", "/money", "/payments", "/jobs", "/errors")
    async with open_pages(pool, ledger, settings) as client:
        for address in pages:
            assert "5 min behind the log" in await page(client, address), address
        for name in PROJECTIONS:
            await catch_up(pool, name)
        for address in pages:
            shown = await page(client, address)
            assert "behind the log" not in shown and "Counted up to position" in shown, address
