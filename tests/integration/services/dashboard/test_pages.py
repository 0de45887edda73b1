"""The pages of an owner at breakfast and an operator at night, over a log with every ending."""

import re
from collections.abc import AsyncIterator

import asyncpg
import pytest
from redis.asyncio import Redis

from events.job import Failure
from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from services.dashboard.pages import audit
from services.dashboard.routes import Role
from services.platform.database import create_pool, reading_pool
from services.platform.settings import Settings
from services.recovery.backup_runs import BackupRun, record_run
from tests.support.arena.processes import own_login
from tests.support.dashboard import Client, open_pages, page
from tests.support.hand_made import append_unknown
from tests.support.traffic import Traffic

LINKED = re.compile(r'href="(/events\?[^"]*&amp;is=[^"]+)"')
PAGES = ("/", "/errors", "/jobs", "/machinery")


@pytest.fixture
async def client(pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic) -> AsyncIterator[Client]:
    """Of an owner, with the rights of the dashboard's login, over a log and its read models."""
    await traffic.open_accounts()
    await traffic.play(150)
    (job,) = await traffic.order(1)
    failed = Failure("transient", "500", ref="r")
    command = c.FailJob(job, (await ledger.read.job(job)).account, "operator", failed)
    await ledger.execute(command, key="failed")
    events = [event async for event in ledger.read.scan()]
    for projection in PROJECTIONS.values():
        await Runner(pool, projection).apply(events)
    own = settings.replace(database_url=own_login(settings.require_database_url(), "dashboard"))
    async with (
        await create_pool(own, "dashboard") as writing,
        await reading_pool(own, "dashboard") as reading,
        Ledger(own.require_database_url(), writing) as appending,
        open_pages(reading, appending, own) as client,
    ):
        yield client


async def test_the_first_day_has_every_page_and_no_trouble(
    pool: Pool, ledger: Ledger, settings: Settings
) -> None:
    async with open_pages(pool, ledger, settings, locale="ru") as client:
        for address in PAGES:
            await page(client, address)
        assert "No failure in this time" not in await page(client, "/errors")
        for address in ("/jobs/none", "/jobs/" + "x" * 199):
            await page(client, address, status=404)
        for address in ("/jobs?state=x", "/jobs?before=x", "/errors?hours=25", "/jobs?age=x"):
            await page(client, address, status=400)


async def test_every_linked_figure_is_the_sum_of_its_events(client: Client) -> None:
    found = {link for address in ("/", "/errors") for link in LINKED.findall(await page(client, address))}
    assert len(found) > 40
    for link in found:
        shown = await page(client, link.replace("&amp;", "&"))
        assert "as the page said" in shown, link


async def test_home_counts_what_was_played(client: Client, pool: Pool) -> None:
    shown = await page(client, "/")
    for count in await pool.fetchrow("SELECT registrations, orders, videos, failures FROM daily") or ():
        assert f">{count}</a>" in shown
    assert "Redis is away" in shown and "no REDIS_URL" in shown


async def test_errors_are_grouped_and_words_masked_for_auditors(
    client: Client, pool: Pool, ledger: Ledger, settings: Settings
) -> None:
    shown = await page(client, "/errors?hours=72")
    assert 'class="heat-4"' in shown and "transient" in shown and "/jobs/" in shown
    await page(client, "/errors?count=submissions")
    failed = await pool.fetchrow("SELECT job, account FROM job_status WHERE failure_ref = 'r'")
    assert failed is not None
    job, account = failed
    await pool.execute("INSERT INTO accounts (account, telegram_id) VALUES ($1, 1)", account)
    said = "INSERT INTO outside_words (ref, account, words) VALUES ('r', $1, $2)"
    await pool.execute(said, account, "the <b>provider</b>\nraw")
    for _ in range(2):
        assert "the &lt;b&gt;provider&lt;/b&gt;" in await page(client, "/errors")
    noted = [tuple(row) for row in await pool.fetch("SELECT login, actor, what, account FROM person_reads")]
    assert noted == [("neurocards_dashboard", "user:" + "0" * 24, "page /errors", account)]
    async with open_pages(pool, ledger, settings, role=Role.auditor) as auditor:
        shown = await page(auditor, "/errors")
        assert "provider&lt;" not in shown and "masked" in shown
        shown = await page(auditor, f"/jobs/{job}")
        assert f"/jobs/{job}/retry" not in shown and "provider&lt;" not in shown
        assert f"/reveal?account={account}" in shown
        because = "INSERT INTO person_reads (what, actor, account, reason) VALUES ('page', $1, $2, '7')"
        await pool.execute(because, "user:" + "0" * 24, account)
        assert "the &lt;b&gt;provider&lt;/b&gt;" in await page(auditor, f"/jobs/{job}")


async def test_jobs_are_filtered_and_leafed_through(
    client: Client, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dashboard.pages.jobs.WINDOW", 7)
    names: list[str] = []
    address = "/jobs?account=a1"
    while address:
        shown = await page(client, address)
        names += re.findall(r'<td><a class="id" href="/jobs/([^"]+)"', shown)
        more = re.search(r'rel="next" href="([^"]+)"', shown)
        address = more[1].replace("&amp;", "&") if more else ""
    wanted = await pool.fetch(
        "SELECT job FROM job_status WHERE account = 'a1' ORDER BY queued_at_us DESC, job DESC"
    )
    assert names == [row["job"] for row in wanted]
    monkeypatch.setattr("services.dashboard.pages.jobs.WINDOW", 900)
    for arguments, where in (
        ("state=failed", "state = 'failed'"), ("state=open", "state NOT IN ('failed', 'succeeded')"),
        ("class=transient&age=hour", "failure_class = 'transient'"), ("style=macro", "false"),
        ("age=older", "false"),
    ):  # fmt: skip
        shown = await page(client, f"/jobs?{arguments}")
        found = re.findall(r'<td><a class="id" href="/jobs/([^"]+)"', shown)
        assert set(found) == {row[0] for row in await pool.fetch(f"SELECT job FROM job_status WHERE {where}")}


async def test_a_job_is_told_with_what_nobody_knows(
    client: Client, pool: Pool, traffic: Traffic, ledger: Ledger
) -> None:
    job = await pool.fetchval("SELECT job FROM job_status WHERE state = 'succeeded'")
    shown = await page(client, f"/jobs/{job}")
    assert "The provider has not told what submission 1 cost" in shown and "CreditsCharged" not in shown
    assert all(f"<td>{stage}</td>" in shown for stage in ("charge", "order", "attempt", "task", "video"))
    (new,) = await traffic.order(1)
    shown = await page(client, f"/jobs/{new}")
    assert "The read model does not know the job yet" in shown
    intended = c.IntendSubmission(new, 1, 1, "k", "m")
    commands: list[c.Command] = [
        c.StartJob(new, 1, "w"),
        c.RecordPrompt(new, 1, "p", "openai", "t"),
        intended,
    ]
    for n, command in enumerate(commands):
        await ledger.execute(command, key=f"told{n}")
    assert "Nobody knows whether submission 1 arrived" in await page(client, f"/jobs/{new}")


async def test_a_job_that_a_newer_version_wrote_in_is_no_defect(
    client: Client, traffic: Traffic, owner: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    (job,) = await traffic.order(1)
    await append_unknown(owner, f"job-{job}")
    assert "this code is older than the log, upgrade" in await page(client, f"/jobs/{job}", status=409)


async def test_machinery_shows_backups_and_what_checking_them_found(
    pool: Pool, ledger: Ledger, owner: "asyncpg.Connection[asyncpg.Record]", settings: Settings
) -> None:
    async with open_pages(pool, ledger, settings) as client:
        assert "No backup was taken yet" in await page(client, "/machinery")
        await record_run(
            owner, BackupRun(kind="backup", backup="20261125T183000Z", position=7, size_bytes=2_000_000)
        )
        found = BackupRun(
            kind="drill",
            backup="20261125T183000Z",
            restore_s=12.5,
            lost_s=40.0,
            problems=["one file is <missing>"],
        )
        await record_run(owner, found)
        shown = await page(client, "/machinery")
        assert "check or drill of the backups" in await page(client, "/")
    assert "one file is &lt;missing&gt;" in shown and "20261125T183000Z" in shown
    assert "2.0 MB" in shown and '<a href="/events/7">7</a>' in shown and "40 s" in shown


async def test_machinery_says_what_redis_knows_or_that_it_is_away(
    pool: Pool, ledger: Ledger, settings: Settings, redis: Redis
) -> None:
    async with open_pages(pool, ledger, settings, redis=redis) as client:
        assert "Redis streams" in await page(client, "/machinery")
        assert "Redis is away" not in await page(client, "/")
    async with open_pages(pool, ledger, settings) as client:
        shown = await page(client, "/machinery")
        assert "Redis is away" in shown and "Redis streams" not in shown
        assert "job_status" in shown and "/models/bytedance/seedance-2-fast/pause" in shown


async def test_audit_lists_runs_of_verification_with_what_they_found(
    pool: Pool, ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "RUNS_SHOWN", 2)
    async with open_pages(pool, ledger, settings, role=Role.auditor) as client:
        assert "was not verified yet" in await page(client, "/audit")
        for run in range(3):
            finding = '[{"kind": "edited", "position": 7, "message": "<b>row</b>"}]' if run == 0 else "[]"
            await pool.execute(
                "INSERT INTO verification_runs (whole, events, position, found, report, problems)"
                " VALUES ($1, 10, $2, $3, $4::text::json, '{}')",
                run == 0, 100 + run, 30 * (run == 0), finding,
            )  # fmt: skip
        shown = await page(client, "/audit")
        assert ">102<" in shown and ">100<" not in shown and "/audit?before=2" in shown
        assert "row" not in await page(client, "/audit?before=1")
        for address in ("/audit?before=2", "/audit?runs=found"):
            shown = await page(client, address)
            assert ">100<" in shown and ">101<" not in shown and "&lt;b&gt;row&lt;/b&gt;" in shown
            assert '<a href="/events/7">7</a>' in shown and "neurocards ledger verify" in shown
