"""The table of tamperings in docs/auditing.md: each row is played, and found by the turn that it names.

On one log, in a transaction that is rolled back: `new` is a verification of what came since, `whole` one of
everything, both by maintenance as it runs by itself.
"""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from events.envelope import Cursor, Recorded
from ledger.checkpoints.store import stored
from ledger.log.hash_chain import event_hash
from projections.verify.findings import DATABASE_KINDS
from projections.verify.run import Database, Report, verify_on
from services.accounts.logged_files import check_files
from services.maintenance import verification as module
from services.maintenance.verification import Verification
from services.maintenance.verification_memory import VerificationMemory, Verified
from services.platform.blobs import FolderBlobs
from services.platform.settings import load_settings
from services.recovery.checkpoint_files import folder, keep_note
from tests.integration.ledger.tampering import KEY, LOG, OTHER_KEY, OWED, VIDEO_BYTES, write_log
from tests.support.servers import SessionPostgres
from tests.support.services import ROOT

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]

NEW, OLD = "$new", "$old"
"""A position after the place that was verified last, and one before it."""
FORGED = """INSERT INTO events SELECT {at}, 'account-a', 500, 'CreditsGranted',
'{{"amount":100,"kind":"manual","reason":"x","lot":99}}', 'forged', sha256('x'), 1, 'neurocards_bot',
recorded_at_us, sha256('z') FROM events WHERE position = {at} - 1"""
SHIFT = """UPDATE events SET position = position + 10000 WHERE position >= {at};
UPDATE events SET position = position - 10000 + {by} WHERE position > 10000"""
REMEMBERED = """DELETE FROM checkpoints;
UPDATE cursors c SET hash = e.hash FROM events e WHERE e.position = c.position;
UPDATE snapshots c SET hash = e.hash FROM events e WHERE e.position = c.position"""


def rows_of_chain(at: str) -> list[str]:
    return [
        f"UPDATE events SET data = '{{}}' WHERE position = {at}",
        f"UPDATE events SET stream = stream || 'x' WHERE position = {at}",
        f"DELETE FROM events WHERE position = {at}; {SHIFT.format(at=at, by=-1)}",
        f"{SHIFT.format(at=at, by=1)}; {FORGED.format(at=at)}",
        f"UPDATE events SET position = CASE position WHEN {at} THEN 9001 ELSE 9002 END "
        f"WHERE position IN ({at}, {at} + 1); UPDATE events SET position = {at} + 9002 - position "
        "WHERE position > 9000",
    ]


PLAYED: dict[str, list[str]] = {
    "changes a column of a new row; deletes, inserts, swaps or renames new rows": rows_of_chain(NEW),
    "the same to old rows": rows_of_chain(OLD),
    "cuts the end off": [
        "DELETE FROM events WHERE position > (SELECT max(position) - 3 FROM events)",
        f"DELETE FROM events WHERE position >= {OLD}; UPDATE cursors SET position = 0, "
        "hash = decode(repeat('00', 32), 'hex'); DELETE FROM checkpoints; DELETE FROM snapshots; "
        "DELETE FROM open_jobs",
    ],
    "writes the log anew with right hashes, and cursors, cached states and notes with it": [
        """UPDATE events SET type = 'SystemStarted', data =
        '{"process":"log","version":"1","commit":"","settings":""}' WHERE stream = 'system-log'; -- $rehash"""
    ],
    "appends with right hashes what the rules forbid": [
        """-- $append account-b CreditsGranted {"amount":100,"kind":"purchase","reason":"x","lot":99}""",
        """-- $append job-j99 JobSucceeded {"run":1,"submission":1,"video":"""
        """{"blob":"v","sha256":"00","size_bytes":1}}""",
        """-- $append account-b CreditsExpired {"amount":1,"lot":1,"kind":"bonus","due_at_us":1}""",
    ],
    "changes a row of a read model that an event has touched since": [
        "UPDATE balances_v1 SET balance = balance + 1 WHERE account = 'b'",
        "UPDATE job_status_v1 SET state = 'succeeded' WHERE job = 'j4'",
        "DELETE FROM job_status_v1 WHERE job = 'j10'",
    ],
    "changes another row of a read model, or adds one": [
        "UPDATE balances_v1 SET balance = balance + 1 WHERE account = 'c'",
        "UPDATE payments_v1 SET paid_minor = 1 WHERE payment = 'p1'",
        "UPDATE payments_v1 SET payment = 'ghost' WHERE payment = 'p4'",
    ],
    "lets a read model's view show something else, e.g. a balance and 9 more": [
        "DO $$ BEGIN EXECUTE 'CREATE OR REPLACE VIEW balances AS ' || replace(pg_get_viewdef("
        "'balances'::regclass), ' balance,', ' 9 + balance AS balance,'); END $$"
    ],
    "adds an unfinished job that ended long ago": ["INSERT INTO open_jobs VALUES ('j1', 'a', 9, 9)"],
    "removes or changes an unfinished job of a new event": [
        "DELETE FROM open_jobs WHERE job = 'j4'",
        "UPDATE open_jobs SET deadline_at_us = 1 WHERE job = 'j4'",
    ],
    "makes a cached account state richer": [
        "UPDATE snapshots SET position = position + 1 WHERE stream = 'account-a'",
        "UPDATE snapshots SET state = replace(state::text, '\"balance\":', '\"balance\":1')::json",
    ],
    "the same of an account to which nothing happened since": [
        "INSERT INTO snapshots SELECT stream, version, position, hash, s.format, '{}' FROM events, "
        "(SELECT format FROM snapshots LIMIT 1) s WHERE stream = 'account-c' ORDER BY version DESC LIMIT 1"
    ],
    "moves a cursor": ["UPDATE cursors SET position = position - 5 WHERE name = 'notifier'"],
    "changes or replaces a stored note that a later one names, or its row": [
        "UPDATE checkpoints SET note = 'x' WHERE number = 1",
        "UPDATE checkpoints SET hash = sha256('x') WHERE number = 1",
        "UPDATE checkpoints SET number = 5 WHERE number = 2",
        "UPDATE checkpoints SET note = '$forged' WHERE number = 1",
    ],
    "replaces the newest note by one of another key": [
        "UPDATE checkpoints SET note = '$forged' WHERE number = 2"
    ],
    "deletes notes from the table, the folder or both": [
        "DELETE FROM checkpoints WHERE number = 2", "-- $unlink",
        "DELETE FROM checkpoints WHERE number = 2; -- $unlink",
    ],
    "empties `refuse_rewriting()`; lets its trigger fire for less, or not at all, or on a replica only": [
        "CREATE OR REPLACE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN NULL; END $$",
        "DROP TRIGGER events_append_only ON events; CREATE TRIGGER events_append_only BEFORE TRUNCATE ON "
        "events FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()",
        "ALTER TABLE events ENABLE REPLICA TRIGGER events_append_only",
    ],
    "drops a unique index, or makes one of its name over something else, or marks it invalid": [
        "DROP INDEX events_one_charge_per_job; CREATE UNIQUE INDEX events_one_charge_per_job ON events "
        "((data ->> 'job'), position) WHERE type = 'CreditsCharged'",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_key'::regclass",
    ],
    "drops, weakens or leaves unchecked a constraint; a column null, with a default, not generated": [
        "ALTER TABLE events DROP CONSTRAINT events_whole",
        "ALTER TABLE events ALTER COLUMN hash DROP NOT NULL",
        "ALTER TABLE accounts ALTER COLUMN person DROP EXPRESSION",
    ],
    "hides rows (row security, a policy), adds some (a child table), swallows writes (a rule)": [
        "ALTER TABLE events ENABLE ROW LEVEL SECURITY; CREATE POLICY hidden ON events USING (position <> 7)",
        "CREATE TABLE later () INHERITS (events)",
        "CREATE RULE quiet AS ON DELETE TO events DO INSTEAD NOTHING",
    ],
    "lets `audit.trial_balance` or any other view or function say something else": [
        "CREATE OR REPLACE VIEW audit.trial_balance AS SELECT 'user:a' AS account, 0::bigint AS balance, "
        "1::bigint AS transfers",
        "CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE RETURN 1",
    ],
    "replaces a built-in function that hashes need, or a cast; shadows `events` by a login's schema": [
        "CREATE OR REPLACE FUNCTION pg_catalog.int8send(bigint) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT "
        "PARALLEL SAFE RETURN '\\x0000000000000000'::bytea",
        "CREATE SCHEMA neurocards_web; CREATE TABLE neurocards_web.events ()",
    ],
    "grants UPDATE, DELETE or a column's UPDATE; gives an object to somebody else": [
        "GRANT UPDATE ON events TO neurocards_web",
        "GRANT UPDATE (data) ON events TO neurocards_bot",
        "ALTER TABLE events OWNER TO postgres",
    ],
    "lets a login append more (`ledger.event_rights`)": [
        "UPDATE ledger.event_rights SET roles = roles || '{neurocards_web}' WHERE kind = 'manual'"
    ],
    "makes a superuser, a member of one or of one of our roles; gives a login more than it has": [
        "CREATE ROLE mallory; GRANT neurocards_log TO mallory",
        "ALTER ROLE neurocards_web SUPERUSER",
    ],
    "switches triggers off for a login, a database or the server (`session_replication_role`)": [
        "ALTER ROLE neurocards_web SET session_replication_role = replica"
    ],
    "gives an account to somebody else": ["INSERT INTO accounts (account, telegram_id) VALUES ('b', 5)"],
    "changes what a chat was told of a new event, or deletes that it is owed": [
        "UPDATE deliveries SET blob = 'videos/other.mp4' WHERE job = 'j3' AND kind = 'gift'",
        "DELETE FROM deliveries WHERE job = 'j3' AND kind = 'gift'",
    ],
    "the same of an old event": [
        "UPDATE deliveries SET account = 'c' WHERE job = 'j1'",
        "UPDATE deliveries SET refunded = 99 WHERE kind = 'referral'",
    ],
    "deletes a video or photo, or makes it shorter": ["-- $file videos/v.mp4 gone", "-- $file p gone",
                                                      "-- $file videos/v.mp4 shorter"],
    "replaces a video by another of the same size": ["-- $file videos/v.mp4 other"],
    "changes or deletes what a comparison with the provider found": [
        "UPDATE payment_differences SET kind = 'extra'", "DELETE FROM payment_comparisons"
    ],
}  # fmt: skip
ELSEWHERE = {
    "writes into the table `verification_runs` that all is well, or takes it away":
        "services/maintenance/test_verification.py::test_whatever_the_table_says_it_is_verified_by_own_memory",
    "deletes rows that a note covers and has the log signed again":
        "ledger/test_checkpointing.py::test_rows_that_are_gone_are_not_signed_though_tiles_vouch_for_them",
    "signs with another key":
        "ledger/test_checkpointing.py::test_another_key_signs_only_when_the_old_one_says_so",
    "spoils `tree_tiles`": "ledger/test_checkpointing.py::test_damaged_tiles_never_reach_a_signature",
    "forges the change of a key":
        "ledger/test_checkpointing.py::test_a_change_of_key_that_the_old_one_did_not_sign_is_found",
}  # fmt: skip


BESIDE = """INSERT INTO payment_comparisons (provider, since) VALUES ('yookassa', now());
INSERT INTO payment_differences (comparison, kind, object)
SELECT comparison, 'missing', 'payment' FROM payment_comparisons"""


def table() -> dict[str, tuple[set[str], str]]:
    """The document's rows: what → kinds, turn."""
    text = (ROOT / "docs/auditing.md").read_text("utf-8")
    part = text.partition("### Every tampering that was tried")[2].partition("\n### ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return {what: (set(re.findall("`(.+?)`", kind)), turn) for what, _, kind, turn in cells}


TABLE = table()


def test_the_table_names_what_is_tried_here_and_nothing_else() -> None:
    assert TABLE.keys() == PLAYED.keys() | ELSEWHERE.keys()
    for where in ELSEWHERE.values():
        file, _, name = where.partition("::")
        assert f"def {name}(" in (ROOT / "tests/integration" / file).read_text("utf-8"), where


@pytest.fixture(scope="module")
def log_url(postgres: SessionPostgres) -> Iterator[str]:
    with postgres.database() as url:
        asyncio.run(write_log(url))
        yield postgres.url(url.partition("?")[0].rpartition("/")[2], "postgres")


class OneConnection:
    """What maintenance asks of its pool, on the connection with the damage."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator["Connection"]:
        yield self._connection


class Watched:
    """Maintenance that has verified all up to the first checkpoint, and looks again by itself."""

    def __init__(self, connection: "Connection", data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connection, self.blobs = connection, FolderBlobs(data / "blobs")
        self._settings = load_settings(database_url="postgresql://", data_dir=data)
        self._notes, self._patch = folder(self._settings), monkeypatch
        self._files = {"videos/v.mp4": data / "blobs/videos/v.mp4", "p": data / "blobs/p"}
        self._files["videos/v.mp4"].parent.mkdir(parents=True)

    @asynccontextmanager
    async def undone(self) -> AsyncIterator[None]:
        savepoint = self.connection.transaction()
        await savepoint.start()
        try:
            yield
        finally:
            await savepoint.rollback()

    async def begin(self) -> None:
        """Everything is there again."""
        for file in self._files.values():
            file.write_bytes(VIDEO_BYTES)
        notes = await stored(self.connection)
        for note in notes:
            keep_note(self._notes, note.note)
        self._place, now_s = notes[0].place, time.time()
        self._seen = Verified(now_s, now_s, 0.0, self._place.position, self._place.hash.hex(), {}, 2, 2)

    async def tamper(self, statement: str) -> None:
        statement = statement.replace(NEW, str(self._place.position + 9)).replace(OLD, "12")
        if "$forged" in statement:
            text = (await stored(self.connection))[int(statement[-1]) - 1].statement.text()
            statement = statement.replace("$forged", OTHER_KEY.sign(text))
        await self.connection.execute("SET LOCAL session_replication_role = replica")
        if not statement.startswith("--"):
            await self.connection.execute(statement)
        if "$rehash" in statement:
            await self._rehash()
        if "$append" in statement:
            await self._append(*statement.partition("$append ")[2].split(" ", 2))
        if "$unlink" in statement:
            for note in self._notes.glob("*.note"):
                note.unlink()
        if "$file" in statement:
            _, _, name, how = statement.split()
            self._files[name].unlink()
            if how != "gone":
                self._files[name].write_bytes(b"w" * (len(VIDEO_BYTES) - (how == "shorter")))
        await self.connection.execute("SET LOCAL session_replication_role = origin")

    async def _rehash(self) -> None:
        previous = bytes(32)
        for row in await self.connection.fetch(LOG):
            previous = event_hash(previous, Recorded(*row))
            await self.connection.execute(
                "UPDATE events SET hash = $2 WHERE position = $1", row["position"], previous
            )
        await self.connection.execute(REMEMBERED)

    async def _append(self, stream: str, name: str, data: str) -> None:
        last = Recorded(*(await self.connection.fetch(LOG))[-1])
        version = await self.connection.fetchval(
            "SELECT coalesce(max(version), 0) + 1 FROM events WHERE stream = $1", stream
        )
        row = replace(
            last, position=last.position + 1, stream=stream, version=version, type=name, data=data,
            key=f"forged:{name}", body_hash=b"\1" * 32, command_events=1, writer="neurocards_worker",
        )  # fmt: skip
        columns = [getattr(row, field) for field in Recorded.__struct_fields__]
        await self.connection.execute(
            f"INSERT INTO events ({', '.join(Recorded.__struct_fields__)}) "
            "VALUES ($1, $2, $3, $4, $5::text::json, $6, $7, $8, $9, $10, $11)",
            *columns[:-1], event_hash(last.hash, row),
        )  # fmt: skip

    async def turn(self, *, whole: bool) -> set[str]:
        """Kinds that the next turn finds: of what is new, or of everything."""
        asked: list[int] = []

        async def verify(_: Database, *, after: Cursor, gentle: bool) -> Report:
            asked.append(after.position)
            return await verify_on(self.connection, after=after)

        self._patch.setattr(module, "verify", verify)
        due = replace(self._seen, new_at_s=self._seen.new_at_s - 500)
        due = replace(due, whole_at_s=0.0) if whole else due
        VerificationMemory(self._notes).keep(due)
        maintenance = Verification(
            self._settings, cast("Pool", OneConnection(self.connection)), asyncio.Event(), first_s=0
        )
        assert await maintenance.run_once() == 1
        assert asked == [0 if whole else self._place.position]
        return {kind for kind in DATABASE_KINDS if metric(kind)}

    async def by_hand(self) -> set[str]:
        """Kinds that `ledger verify --blobs --public-key` finds."""
        found = (await verify_on(self.connection, keys=[KEY.public])).problems
        found += await check_files(cast("Pool", OneConnection(self.connection)), self.blobs, read=True)
        return {problem.kind for problem in found}


def metric(kind: str) -> float:
    """What the alert looks at."""
    return REGISTRY.get_sample_value("neurocards_verification_problems", {"kind": kind}) or 0


@pytest.fixture
async def watched(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    connection = await asyncpg.connect(log_url)
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await connection.execute(f"{OWED}; {BESIDE}")
        yield Watched(connection, tmp_path, monkeypatch)
    finally:
        await transaction.rollback()
        await connection.close()


async def test_each_is_found_by_the_turn_that_the_table_names(watched: Watched) -> None:
    async with watched.undone():
        await watched.begin()
        found = (await watched.turn(whole=False), await watched.turn(whole=True), await watched.by_hand())
    assert found == (set(), set(), set())
    wrong: list[str] = []
    for what, statements in PLAYED.items():
        kinds, turn = TABLE[what]
        earlier = 0
        for statement in statements:
            async with watched.undone():
                if turn == "refused":
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await watched.connection.execute(statement)
                    continue
                await watched.begin()
                await watched.tamper(statement)
                seen = await watched.turn(whole=False)
                if turn != "new":
                    earlier += bool(seen & kinds)
                    seen = await watched.turn(whole=True)
                if turn == "by hand":
                    earlier += bool(seen & kinds)
                    seen = await watched.by_hand()
                if not seen & kinds:
                    wrong.append(f"{what}: {statement}: {seen}")
        if turn != "refused" and earlier == len(statements):
            wrong.append(f"{what}: all of it is found sooner")
    assert wrong == [], "\n".join(wrong)
