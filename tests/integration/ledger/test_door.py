"""The door to the log: through `ledger.append` only, as a login that may, and on the newest state."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest

from tests.integration.ledger.conftest import hold_lock, rich
from tests.support.hand_made import BEGIN, Made, append
from tests.support.locks import WAITING_TO_APPEND
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

APPENDING = ("web", "bot", "worker", "monitor", "maintenance", "dashboard", "operator")
OTHERS = ("relay", "projector", "notifier")
OPENED: Made = ("account-z", "AccountOpened", {})
MODES = ("ACCESS SHARE", "EXCLUSIVE", "ACCESS EXCLUSIVE")
EVENTS = "SELECT count(*) FROM public.events"


@pytest.fixture
async def login(postgres, owner) -> AsyncIterator["Callable[[str], Awaitable[Connection]]"]:
    """Connects to the test's database as one of our logins."""
    opened: list[Connection] = []
    database = await owner.fetchval("SELECT current_database()")

    async def connect(name: str) -> "Connection":
        user = name if name == "postgres" else f"neurocards_{name}"
        opened.append(await asyncpg.connect(postgres.url(database, user)))
        return opened[-1]

    yield connect
    for connection in opened:
        await connection.close()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
async def test_another_isolation_would_see_the_log_from_before_the_lock(owner, isolation: str):
    await owner.execute(f"SET default_transaction_isolation = '{isolation}'")
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="READ COMMITTED"):
        await append(owner, [OPENED])
    with pytest.raises(asyncpg.FeatureNotSupportedError, match="READ COMMITTED"):
        async with owner.transaction(isolation=isolation.replace(" ", "_")):
            await owner.fetchrow(BEGIN, [], [], None, None, "", "", "")
    assert await owner.fetchval(EVENTS) == 0


async def test_a_transaction_that_can_only_read_is_refused_before_it_takes_the_lock(owner, login):
    other = await login("operator")
    async with owner.transaction(readonly=True):
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError, match="only read"):
            async with owner.transaction():
                await append(owner, [])
        assert (await append(other, [OPENED]))["outcome"] == "ok"


async def test_what_is_committed_while_it_waits_for_the_lock_is_seen(owner, login):
    assert (await append(owner, [OPENED]))["outcome"] == "ok"
    other = await login("operator")
    held = await hold_lock(owner)
    waiting = asyncio.create_task(append(other, [("account-y", "AccountOpened", {})], reads={"account-z": 1}))
    await eventually(lambda: owner.fetchval(WAITING_TO_APPEND))
    assert (await append(owner, [("account-z", "TermsAccepted", {"terms": "1"})]))["outcome"] == "ok"
    await held.commit()
    answer = await waiting
    assert answer["outcome"] == "stale"
    assert "TermsAccepted" in answer["detail"]


async def test_nothing_of_the_caller_s_own_is_read_or_written(owner, ledger):
    """Temporary tables come before all others, unless a function says otherwise."""
    await rich(ledger, "a")
    await owner.execute(
        """CREATE TEMP TABLE events (LIKE public.events);
           INSERT INTO events SELECT position + 1000, stream, version + 1000, type, data, 'k-' || position,
                  body_hash, 1, 'x', 2000000000000000, hash FROM public.events;
           CREATE TEMP TABLE open_jobs (LIKE public.open_jobs);
           CREATE TEMP TABLE append_lock (); CREATE TEMP TABLE event_rights (LIKE ledger.event_rights);
           CREATE SCHEMA evil;
           CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$;
           CREATE FUNCTION evil.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
           CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz
               LANGUAGE sql AS $$ SELECT timestamptz '2099-01-01' $$;
           CREATE FUNCTION evil.pg_has_role(name, name, text) RETURNS boolean
               LANGUAGE sql AS $$ SELECT true $$;
           SET search_path = pg_temp, evil, pg_catalog, public"""
    )  # fmt: skip
    now_us = await owner.fetchval(
        "SELECT (extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"
    )
    answer = await append(owner, [OPENED], p_keys="k-1", reads={"account-z": 0}, p_now_us=now_us)
    assert (answer["outcome"], answer["position"]) == ("ok", 4)
    assert await owner.fetchval("SELECT count(*) FROM pg_temp.events") == 3
    assert await owner.fetchval(EVENTS) == 4
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def test_the_functions_are_what_makes_them_safe(owner):
    """Volatile, so that each statement sees what was committed before the lock; fixed in what they name."""
    rows = await owner.fetch(
        """SELECT p.oid::regprocedure::text AS name, p.provolatile, l.lanname, p.proconfig,
                  pg_get_userbyid(p.proowner) AS owner
           FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
           WHERE p.prosecdef AND p.pronamespace <> ALL ('{pg_catalog, information_schema}'::regnamespace[])"""
    )
    assert {"ledger.append", "ledger.begin_append"} <= {row["name"].split("(")[0] for row in rows}
    for row in rows:
        assert row["name"].startswith("ledger."), row["name"]
        assert "search_path=pg_catalog, pg_temp" in row["proconfig"], row["name"]
        if row["name"].split("(")[0] in ("ledger.append", "ledger.begin_append", "ledger.rebuild_open_jobs"):
            found = (row["provolatile"], row["lanname"], row["owner"])
            assert found == (b"v", "plpgsql", "neurocards_log"), row["name"]


async def test_what_each_login_may_call(owner):
    rows = await owner.fetch(
        """SELECT r.rolname, array_agg(p.proname::text ORDER BY p.proname) AS functions
           FROM pg_proc p, pg_roles r
           WHERE p.pronamespace = 'ledger'::regnamespace
             AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
             AND r.rolname LIKE 'neurocards\\_%'
             AND r.rolname NOT IN ('neurocards_log', 'neurocards_operator')
             AND p.proname NOT IN ('judge_time', 'sessions')
           GROUP BY r.rolname"""
    )
    callable_by = {row["rolname"].removeprefix("neurocards_"): set(row["functions"]) for row in rows}
    assert callable_by.keys() == set(APPENDING) - {"operator"}
    for name, functions in callable_by.items():
        watching = {"free_append_lock", "hindrances"} if name == "monitor" else set()
        if name == "dashboard":
            asking = "request_operation abort_operation"
            people = "invited accept_invitation begin_login open_session session_of touch_session end_session"
            watching = {*asking.split(), *people.split(), "choose_language"}
        if name in ("bot", "web"):
            watching = {"store_updates"}
        appending = {"append", "begin_append", "clocks"}
        assert functions == appending | watching, name


@pytest.mark.parametrize("role", [None, "neurocards_operator"])
async def test_a_superuser_is_refused_whatever_role_it_takes(login, role: str | None):
    superuser = await login("postgres")
    if role:
        await superuser.execute(f"SET ROLE {role}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="superuser"):
        await append(superuser, [OPENED])


@pytest.mark.parametrize("name", [*APPENDING[:-1], *OTHERS])
async def test_no_login_locks_the_table_or_writes_past_the_door(login, owner, name: str):
    one = await login(name)
    for statement in (
        *(f"DO $$ BEGIN LOCK TABLE ledger.append_lock IN {mode} MODE; END $$" for mode in MODES),
        "DO $$ BEGIN LOCK TABLE events IN EXCLUSIVE MODE; END $$",
        "SELECT * FROM ledger.append_lock",
        "INSERT INTO events SELECT * FROM events",
        "UPDATE events SET type = type",
        "DELETE FROM events",
        "INSERT INTO open_jobs VALUES ('j', 'a', 1, 1)",
        "DELETE FROM open_jobs",
        "INSERT INTO ledger.event_rights VALUES ('JobFailed', '', 'job-', false, '{neurocards_web}')",
        "CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql RETURN 1",
        "SELECT ledger.clock()",
        "SELECT ledger.rebuild_open_jobs()",
        "SET ROLE neurocards_log",
        "SET ROLE neurocards_operator",
        "CREATE TABLE public.mine ()",
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await one.execute(statement)
    assert (await append(owner, [OPENED]))["outcome"] == "ok"


@pytest.mark.parametrize("name", OTHERS)
async def test_who_only_reads_appends_nothing(login, name: str):
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for function append"):
        await append(await login(name), [OPENED])


async def test_advisory_locks_hold_nobody_up(owner, login):
    await owner.fetchval("SELECT count(pg_advisory_lock(n)) FROM generate_series(7300000, 7300100) AS n")
    assert (await append(await login("bot"), [OPENED]))["outcome"] == "ok"


@pytest.mark.parametrize("setting", ["off", "local", "remote_write"])
async def test_a_session_that_would_not_wait_for_the_disk_does_all_the_same(owner, setting: str):
    await owner.execute(
        """CREATE TABLE durable (how text);
           GRANT INSERT ON durable TO PUBLIC;
           CREATE FUNCTION note_durable() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               INSERT INTO public.durable VALUES (current_setting('synchronous_commit')); RETURN NULL;
           END $$;
           CREATE CONSTRAINT TRIGGER durable AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION note_durable()"""
    )
    await owner.execute(f"SET synchronous_commit = '{setting}'")
    assert (await append(owner, [OPENED]))["outcome"] == "ok"
    assert await owner.fetch("SELECT how FROM durable") == [("on",)]


async def test_what_is_told_under_the_lock_fits_into_a_socket(owner):
    """A server that waits for a client to read is ended by no timeout."""
    long = {"terms": "x" * 400}
    for first in range(0, 400, 100):
        made: list[Made] = [("account-z", "TermsAccepted", long) for _ in range(100)]
        assert (await append(owner, made))["position"] == first + 100
    for known in (0, 150, 300, 340, 395):
        answer = await append(owner, [], reads={"account-z": known})
        assert answer["outcome"] == "stale"
        assert len(answer["detail"]) < 40_000
        begun = await owner.fetchrow(BEGIN, [], [], None, None, "", "account-z", str(known))
        assert len(begun["detail"]) < 40_000
        assert ('"missing" : ["account-z"]' in answer["detail"]) == (known < 340), known
