"""Apply the recovery plan; each part can be repeated after a crash.

The restoration is signed first. The streams are made anew last, and what they hold of lost events is saved to
a file before: there is no other copy.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncpg
import msgspec
import structlog

from events.envelope import Cursor
from ledger.checkpoints.checkpoint import Restored, current_origin, sign, time_text
from ledger.checkpoints.merkle_store import forget_tiles
from ledger.checkpoints.signed_note import PrivateKey
from ledger.checkpoints.store import hash_at, statements_in, store, stored
from ledger.errors import LedgerError
from ledger.log.reader import LogReader
from ledger.postgres import Pool, lift_transaction_timeout, require_session
from ledger.sql import load_queries
from projections.engine import cursors
from projections.rebuild.run import RebuildOptions, rebuild
from services.platform.errors import StartError
from services.recovery.checkpoint_files import keep_note, kept_notes
from services.recovery.observed import entries_after
from services.recovery.plan import NOTIFIER, Plan
from services.streams.publisher.recreate import StreamMaker
from services.streams.publisher.scripts import Scripts, StreamsBusyError

checkpoints_query = load_queries("ledger.checkpoints")
query = load_queries("services.recovery")

logger = structlog.get_logger()

_LOCK = 7_300_005
_STREAM_TRIES = 20


class RecoveryUnderWayError(LedgerError):
    """Another `neurocards recover` is at work on this database."""


class Repair:
    def __init__(
        self,
        pool: Pool,
        scripts: Scripts,
        *,
        database_url: str,
        folder: Path,
        keys: Sequence[PrivateKey],
        reach_back: int,
        say: Callable[[str], None],
    ) -> None:
        self._pool = pool
        self._scripts = scripts
        self._database_url = database_url
        self._folder = folder
        self._keys = keys
        self._maker = StreamMaker(pool, scripts, reach_back=reach_back)
        self._say = say

    async def run(self, plan: Plan, actor: str, reason: str) -> None:
        """Apply all. Raises RecoveryUnderWayError, StreamsBusyError, a rebuild's and asyncpg's errors."""
        async with self._pool.acquire() as guard:
            await require_session(guard)
            if not await guard.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
                raise RecoveryUnderWayError("another `neurocards recover` is at work; let it finish")
            try:
                await self._run(plan, actor, reason)
            finally:
                await guard.execute("SELECT pg_advisory_unlock($1)", _LOCK)

    async def _run(self, plan: Plan, actor: str, reason: str) -> None:
        if plan.streams.are == "of another history":
            await self._save_lost(plan)
        if plan.lost is not None:
            await forget_tiles(self._pool)
            await self._sign(plan.lost, plan.kept, actor, reason)
        if plan.open_jobs:
            await self._open_jobs()
        if plan.notifier:
            await self._notifier()
        for name in plan.projections:
            try:
                done = await rebuild(self._database_url, name, RebuildOptions(from_log=True))
            except asyncpg.InsufficientPrivilegeError as error:
                raise StartError(
                    "only the tables' owner can rebuild a projection: run it again with the DATABASE_URL "
                    "that `neurocards migrate` uses"
                ) from error
            self._say(f"projection {name} rebuilt from the log up to {done.state.cursor.position}")
        if plan.make_streams:
            await self._streams()
        actions = [step.action for step in plan.steps if step.action]
        logger.warning("recovered", actor=actor, reason=reason, done=actions)

    async def _save_lost(self, plan: Plan) -> None:
        """Save the streams' lost events: there is no other copy."""
        after = plan.streams.fork.position if plan.streams.fork else 0
        state = plan.streams.state
        self._folder.mkdir(parents=True, exist_ok=True)
        last = state.ledger_last.partition("-")[0]
        path = self._folder / f"lost-{after + 1:012d}-to-{last}-of-epoch-{state.epoch or 0}.jsonl"
        count = 0
        with path.open("wb") as file:
            async for line in entries_after(self._scripts.redis, after):
                file.write(line + b"\n")
                count += 1
            file.flush()
            os.fsync(file.fileno())
        self._say(f"{count} lost events saved from the stream to {path}")

    async def _sign(self, lost: Cursor, kept: Cursor, actor: str, reason: str) -> None:
        if not self._keys:
            self._say("no key is configured, so nothing was signed: older checkpoints stay unexplained")
            return
        row = await self._pool.fetchrow(checkpoints_query("signing_head"))
        assert row is not None
        head = Cursor(row["position"], row["hash"])
        notes = [*(one.note for one in await stored(self._pool)), *kept_notes(self._folder)]
        known = statements_in(notes, [key.public for key in self._keys])
        origin = current_origin(self._keys[0].name, [one for one, _ in known])
        statement = Restored(origin, lost, kept, head, actor, reason, row["now_us"])
        note = await store(self._pool, sign(statement, self._keys))
        path = keep_note(self._folder, note.note)
        self._say(f"signed at {time_text(statement.time_us)}; keep a copy of {path} with the checkpoints")
        self._say("the log goes on under the next name: `neurocards ledger public-key` tells auditors which")

    async def _open_jobs(self) -> None:
        await self._pool.execute(query("open_jobs_rebuild"))
        self._say("the table of unfinished jobs is as the log says")

    async def _notifier(self) -> None:
        """Back to where it missed nothing; what it has sent stays known, so nothing is sent again."""
        async with self._pool.acquire() as connection, connection.transaction():
            await lift_transaction_timeout(connection)
            await connection.execute("SELECT FROM cursors WHERE name = $1 FOR UPDATE", NOTIFIER)
            for name in ("deliveries_forget", "deliveries_keep", "lines_forget", "statuses_abandon"):
                await connection.execute(query(name))
            version, _ = await cursors.where_is(connection, NOTIFIER)
            position = await connection.fetchval(query("notifier_from"))
            hash_ = await hash_at(connection, position)
            assert hash_ is not None  # events are never removed, and this one was just seen
            await cursors.move(connection, NOTIFIER, version, Cursor(position, hash_))
        self._say(f"the notifier reads again from {position + 1}")

    async def _streams(self) -> None:
        for _ in range(_STREAM_TRIES):
            seen = await self._scripts.state(believing=False)
            place = await self._maker.make_anew(seen, await LogReader(self._pool).head(), "recovered")
            if place is not None:
                self._say(f"streams made anew from {place.cursor.position} on, epoch {place.epoch}")
                return
        raise StreamsBusyError("the streams change all the time: stop what writes to them, and run it again")


def rows(plan: Plan) -> list[dict[str, str]]:
    return [msgspec.to_builtins(step) for step in plan.steps]
