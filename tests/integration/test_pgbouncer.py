"""PgBouncer in transaction mode serves everything but LISTEN and locks of sessions: `make pgbouncer`.

Nothing is installed for it. Without one all is left out, and with one older than 1.21, which knows no
prepared statements, what runs in processes of its own; `-ra` says so.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from ledger.errors import InsufficientCreditsError, LedgerError
from ledger.log.batch import Receipt
from ledger.log.batch_writer import BatchWriter
from ledger.log.ledger import Ledger
from projections.rebuild.run import rebuild
from services.bot.inbox.leader_lock import LeaderLock
from services.cli.doctor.servers import check_database
from services.migrations import migrate
from services.monitor import append_lock
from services.monitor.append_lock import LockWatch
from services.platform.database import connect, create_pool
from services.platform.errors import UnsafeDatabaseError
from services.platform.settings import load_settings
from services.streams.pg_listen import LogListener
from tests.integration.ledger.conftest import many, positions, rich
from tests.support import pgbouncer, servers
from tests.support.arena.arena import Arena
from tests.support.arena.fixtures import dice, note
from tests.support.hand_made import append
from tests.support.pgbouncer import PREPARED, SERVERS, PgBouncer
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

__all__ = ["dice", "note"]

pytestmark = pytest.mark.pgbouncer


@pytest.fixture(scope="module")
def running(
    postgres: servers.SessionPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PgBouncer]:
    program = pgbouncer.installed()
    if program is None:
        pytest.skip("no PgBouncer here (Debian's package is `pgbouncer`): nothing of this was tried")
    with servers.short_folder() as folder:
        log = tmp_path_factory.mktemp("pgbouncer") / "log"
        server = PgBouncer(program, folder, postgres.url("postgres"), log)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def through(running: PgBouncer, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The test's database, through PgBouncer. An old one gets no prepared statements."""
    if running.version < PREPARED:
        for name in ("connect", "create_pool"):
            monkeypatch.setattr(
                asyncpg, name, functools.partial(getattr(asyncpg, name), statement_cache_size=0)
            )
    yield running.url(database_url)


@pytest.fixture
def bounced(running: PgBouncer, through: str) -> str:
    """The same, for processes of their own."""
    if running.version < PREPARED:
        words = ".".join(map(str, running.version))
        pytest.skip(f"PgBouncer {words} knows no prepared statements, 1.21 does: no service was tried")
    return through


@pytest.fixture
async def pool(through: str) -> AsyncIterator["Pool"]:
    async with await create_pool(load_settings(database_url=through), "test", max_size=8) as pool:
        yield pool


@pytest.fixture
async def ledger(through: str, pool: "Pool") -> AsyncIterator[Ledger]:
    async with Ledger(through, pool) as ledger:
        yield ledger


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_what_is_appended_stands_and_is_read(ledger: Ledger, through: str, pool: "Pool", owner) -> None:
    """By many clients over few sessions: commands, double taps, rejections, reads."""
    await rich(ledger, "a", 30)
    clients = [await asyncpg.connect(through) for _ in range(4 * SERVERS)]
    async with Ledger(through, pool) as other:
        both = await asyncio.gather(
            many(ledger, 20, name="x"), many(other, 20, name="x"), many(other, 20, name="y")
        )
        pids = {await client.fetchval("SELECT pg_backend_pid()") for client in clients}
    assert len(pids) <= SERVERS, "sessions of their own: nothing was pooled"
    answers = [answer for answers in both for answer in answers]
    assert {type(answer) for answer in answers} == {Receipt, InsufficientCreditsError}
    assert both[0] == both[1], "asked twice, answered differently"
    assert len({a.position for a in answers if isinstance(a, Receipt)}) == 30
    assert (await ledger.read.account("a")).balance == 0
    assert len(await ledger.read.open_jobs()) == 30
    assert await positions(ledger) == list(range(1, 3 + 60 + 1))
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    for client in clients:
        await client.close()


async def test_who_was_too_late_takes_the_lock_in_a_transaction(
    ledger: Ledger, through: str, pool: "Pool", owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rich(ledger, "a")
    careful, real = [], BatchWriter._carefully

    async def noted(*arguments: Any) -> Any:
        careful.append(1)
        return await real(*arguments)

    monkeypatch.setattr(BatchWriter, "_carefully", noted)
    async with Ledger(through, pool) as other:
        for wave in range(5):
            answers = await asyncio.gather(
                *(many(who, 8, name=f"{wave}-{n}") for n, who in enumerate((ledger, other)))
            )
            assert {type(answer) for some in answers for answer in some} == {Receipt}
    assert careful
    assert (await ledger.read.account("a")).balance == 1000 - 80
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def test_a_session_that_another_client_has_made_careless_commits_durably(through: str, owner) -> None:
    await owner.execute(
        """CREATE TABLE durable (how text);
           GRANT INSERT ON durable TO PUBLIC;
           CREATE FUNCTION note_durable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO public.durable VALUES (current_setting('synchronous_commit')); RETURN NULL;
           END $$;
           CREATE CONSTRAINT TRIGGER durable AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION note_durable()"""
    )
    careless = await asyncpg.connect(through)
    honest = await asyncpg.connect(through)
    await careless.execute("SET synchronous_commit = off")
    assert await honest.fetchval("SHOW synchronous_commit") == "off", "another session: nothing was shown"
    assert (await append(honest, [("account-z", "AccountOpened", {})]))["outcome"] == "ok"
    assert await owner.fetch("SELECT how FROM durable") == [("on",)]
    for client in (careless, honest):
        await client.execute("RESET synchronous_commit")
        await client.close()


async def test_a_login_s_own_timeouts_come_through(
    running: PgBouncer, through: str, database_url: str
) -> None:
    """PgBouncer drops those that a client asks for."""
    for login in ("web", "bot", "worker", "monitor", "maintenance"):
        connection = await asyncpg.connect(running.url(database_url, login))
        for setting in ("lock_timeout", "statement_timeout"):
            assert await connection.fetchval(f"SHOW {setting}") == "4s"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "3s"
        await connection.close()


async def test_what_needs_a_session_says_so(through: str, pool: "Pool") -> None:
    """The bot's turn, LISTEN, migrations, rebuilds: nobody may believe that he holds a lock."""
    said = "a pooler such as PgBouncer stands before Postgres"
    settings = load_settings(database_url=through)
    stop = asyncio.Event()

    async def never(over: asyncio.Event) -> None:
        raise AssertionError("two would have the turn")

    with capture_logs() as logs:
        turn = asyncio.create_task(LeaderLock(settings, "test", 7, stop).run(never))
        listener = LogListener(lambda: connect(settings, "listen", session=True))
        listening = asyncio.create_task(listener.run(stop))
        await eventually(lambda: {"turn_unavailable", "trouble_met"} <= {line["event"] for line in logs})
        stop.set()
        await asyncio.gather(turn, listening)
    told = [line["reason"] for line in logs if line["event"] in ("turn_unavailable", "trouble_met")]
    assert all(said in one for one in told), told
    with pytest.raises(LedgerError, match=said):
        await migrate(through)
    with pytest.raises(LedgerError, match=said):
        await rebuild(through, "balances")


async def test_what_needs_a_session_goes_past_it(through: str, database_url: str) -> None:
    """By DATABASE_DIRECT_URL: LISTEN, and the bot's turn."""
    settings = load_settings(database_url=through, database_direct_url=database_url)
    stop, has_turn = asyncio.Event(), asyncio.Event()

    async def turn(over: asyncio.Event) -> None:
        has_turn.set()
        await over.wait()

    with capture_logs() as logs:
        listening = asyncio.create_task(
            LogListener(lambda: connect(settings, "listen", session=True)).run(stop)
        )
        turns = asyncio.create_task(LeaderLock(settings, "test", 7, stop).run(turn))
        await asyncio.wait_for(has_turn.wait(), 60)
        stop.set()
        await asyncio.gather(turns, listening)
    assert not [line for line in logs if line["log_level"] in ("warning", "error")]


async def test_another_login_is_refused_and_one_without_limits_is_told(
    running: PgBouncer, through: str, database_url: str, owner, tmp_path: Path
) -> None:
    program = pgbouncer.installed()
    assert program
    url = load_settings(database_url=database_url).require_database_url()
    with servers.short_folder() as folder:
        forcing = PgBouncer(program, folder, url, tmp_path / "log", more="user=neurocards_operator")
        forcing.start()
        try:
            settings = load_settings(database_url=forcing.url(database_url, "web"))
            with pytest.raises(UnsafeDatabaseError, match="logs in as neurocards_operator"):
                await connect(settings, "test")
        finally:
            forcing.stop()
    with capture_logs() as logs:
        await (await connect(load_settings(database_url=running.url(database_url, "relay")), "test")).close()
        await (await connect(load_settings(database_url=running.url(database_url, "web")), "test")).close()
    told = [line["login"] for line in logs if line["event"] == "time_limits_dropped"]
    assert told == ["neurocards_relay"]


async def test_the_watchdog_sees_and_ends_a_holder(
    running, through, database_url, owner, monkeypatch
) -> None:
    """Its session is PgBouncer's; the client that held the lock loses it with that."""
    monkeypatch.setattr(append_lock, "HELD_S_MAX", 0.0)
    holder = await asyncpg.connect(running.url(database_url, "web"))
    await holder.execute(
        "BEGIN; SET LOCAL transaction_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"
    )
    await holder.execute("SELECT ledger.begin_append('{}', '{}', NULL, NULL, '', '', '')")
    async with asyncpg.create_pool(running.url(database_url, "monitor"), min_size=1, max_size=1) as pool:
        watch = LockWatch(pool)
        assert [await watch.run_once() for _ in range(2)] == [0, 1]
    assert (await append(owner, [("account-z", "AccountOpened", {})]))["outcome"] == "ok"
    holder.terminate()


async def test_the_services_make_a_video(bounced: str, tmp_path: Path, dice, note) -> None:
    """Relay, projector, notifier, monitor, maintenance, web and a worker; then everything is audited."""
    with servers.own_valkey(tmp_path) as valkey:
        arena = Arena(tmp_path, bounced, valkey, dice, note)
        async with arena.opened():
            jobs = await arena.jobs_of(3)
            await arena.all_made(jobs)
            relay = arena.running["relay"].log
            assert "a pooler such as PgBouncer" in relay, "it LISTENs over a session that may be anybody's"


async def test_the_doctor_says_what_does_not_work_through_it(through: str) -> None:
    found = {check.name: check for check in await check_database(load_settings(database_url=through))}
    assert found["LISTEN"].state == "fail" and "pooler" in found["LISTEN"].advice
    assert {found[name].state for name in ("commit", "prepared statements")} == {"ok"}
