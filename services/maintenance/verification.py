"""Scheduled verification of the log, so that damage is known within minutes.

Every few minutes what is new is verified: chain, rules, books, and the rows of read models that it touched.
From the log's start everything is, as often as WHOLE_SHARE of a core allows: only that sees an old row
changed. It is done by processes of low priority, one after the other.

Findings are kept until the whole has been verified anew. Two processes: the row says whose turn it is; a
killed one's turn is taken over when it has run out, and then both may verify at once, which costs time and
nothing else.

The row only spares work: whoever may write it could say that all is well until 2036. What a process has not
verified itself, or seen in the file beside the notes, for OVERDUE times the period it verifies whatever the
row says, and what it reports is its own (docs/decisions/verification-memory.md).
"""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import asyncpg
import msgspec
import structlog
from msgspec.structs import replace

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.store import hash_at
from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.verify.findings import DATABASE_KINDS, Problem
from projections.verify.run import Database, Report, verify
from services.accounts.logged_files import check_files
from services.accounts.personal_data import PersonalData
from services.maintenance.metrics import PROBLEMS, VERIFICATION_FAILURES, VERIFIED_AT, VERIFIED_POSITION
from services.maintenance.verification_memory import VerificationMemory, Verified
from services.platform.blobs import open_blobs
from services.platform.database import server_settings
from services.platform.settings import Settings
from services.recovery import checkpoint_files

query = load_queries("services.maintenance")

logger = structlog.get_logger()

FIRST_S: Final = 30.0
"""While everything starts there is better to do."""
TURN_S: Final = 1800.0
WHOLE_SHARE: Final = 0.05
"""Of a core may go to verifying the whole: it is done as often as that allows, within the settings."""
FAILED_PAUSE_S: Final = 300.0
OVERDUE: Final = 1.5
"""Periods after which a process verifies by its own memory."""
LOGGED_MAX: Final = 20


class Turn(msgspec.Struct, frozen=True):
    """A verification to do: all, or what is new; `known` was wrong before that, `lied`: the row cannot be."""

    whole: bool
    known: dict[str, int] = {}
    lied: bool = False


class Verification:
    """`run_once` every `idle_s`. What is under way ends when `stop` is set."""

    def __init__(
        self, settings: Settings, pool: Pool, stop: asyncio.Event, *, first_s: float = FIRST_S
    ) -> None:
        self._pool = pool
        self._stop = stop
        self._every_s = settings.verify_every_seconds
        self._whole_every_s = settings.verify_whole_every_seconds
        self._begin_at = time.monotonic() + first_s
        self._back_after_s: float | None = None
        self._memory = VerificationMemory(checkpoint_files.folder(settings))
        self._blobs = open_blobs(settings)
        self._overdue_since = 0.0
        patient = {"statement_timeout": "5min", "idle_in_transaction_session_timeout": "1h"}
        told = server_settings("verify") | patient | {"default_transaction_read_only": "on"}
        self._database = Database(settings.require_database_url(), told)

    @property
    def idle_s(self) -> float:
        return max(min(self._every_s / 10, 15.0), 0.1)

    async def run_once(self) -> int:
        """Verify if due; whether it was. Raises what asyncpg raises when Postgres is away."""
        await self._give_back()  # what could not be given back at the time
        turn = await self._take() if time.monotonic() >= self._begin_at else None
        report = None
        if turn is not None:
            self._back_after_s, before_s = FAILED_PAUSE_S, _walks_cpu_s()
            report = await self._report(turn)
            if report is not None:
                await self._end(turn, report, _walks_cpu_s() - before_s)
            await self._give_back()
        self._measure()
        return int(report is not None)

    async def _take(self) -> Turn | None:
        seen = self._memory.recall()
        whole_s = min(max(seen.whole_cpu_s / WHOLE_SHARE, self._every_s), self._whole_every_s)
        whole = seen.age_s(whole=True) > OVERDUE * whole_s
        overdue = whole or seen.age_s(whole=False) > OVERDUE * self._every_s
        if not overdue:
            self._overdue_since = 0.0
        elif not self._overdue_since:
            self._overdue_since = time.monotonic()
        alone = overdue and time.monotonic() - self._overdue_since > TURN_S
        row = await self._row("verification_take", self._every_s, whole_s, TURN_S, overdue, whole, alone)
        if row is None:
            return Turn(whole=whole, lied=True) if alone else None
        whole = whole or row["whole"]
        try:
            known = {} if whole else msgspec.json.decode(row["problems"], type=dict[str, int])
        except msgspec.ValidationError:
            return Turn(whole, lied=True)
        return Turn(whole, known, row["lied"])

    async def _give_back(self) -> None:
        if self._back_after_s is not None:
            await self._row("verification_give_back", self._back_after_s)
            self._back_after_s = None

    async def _row(self, name: str, *arguments: object) -> asyncpg.Record | None:
        """The row; None without one, and when somebody took away the table or our right."""
        try:
            return await self._pool.fetchrow(query(name), *arguments)
        except (asyncpg.SyntaxOrAccessError, asyncpg.FeatureNotSupportedError) as error:
            logger.error("verification_row_unusable", reason=str(error))
            return None

    async def _report(self, turn: Turn) -> Report | None:
        """The report; None when it could not be made: an unreadable log must not end the process."""
        work = asyncio.ensure_future(self._verify(turn))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            self._back_after_s = 0.0
        except Exception as error:
            VERIFICATION_FAILURES.inc()
            logger.error("verification_failed", whole=turn.whole, reason=repr(error))
        finally:
            work.cancel()
            stopped.cancel()
            await asyncio.gather(work, stopped, return_exceptions=True)
        return None

    async def _verify(self, turn: Turn) -> Report:
        seen = self._memory.newest
        place = Cursor(seen.position, bytes.fromhex(seen.hash))
        after = GENESIS if turn.whole else place
        report = await verify(self._database, after=after, gentle=True)
        beside = await self._beside() if turn.whole else []
        if await hash_at(self._pool, place.position) != place.hash:
            message = "the log does not hold what was verified last: it was rewritten, cut, or restored"
            beside.append(Problem("rewritten", place.position, message))
        elif await self._notes_stored() < seen.notes_stored or self._memory.notes_kept() < seen.notes_kept:
            there = f"{seen.notes_stored} in the table and {seen.notes_kept} in the folder"
            message = f"signed notes are gone: there were {there}"
            beside.append(Problem("checkpoint", None, message))
        if turn.lied:
            message = "the row of `verification` says what cannot be, or is gone: somebody wrote to it"
            beside.append(Problem("guard", None, message))
        return replace(report, problems=[*report.problems, *beside], found=report.found + len(beside))

    async def _beside(self) -> list[Problem]:
        """People, and files where there are any here: their sizes, as reading them takes too long."""
        files = await check_files(self._pool, self._blobs, read=False) if self._blobs.exists else []
        return [*await PersonalData(self._pool).amiss(), *files]

    async def _notes_stored(self) -> int:
        return int(await self._pool.fetchval("SELECT count(*) FROM checkpoints"))

    async def _end(self, turn: Turn, report: Report, cpu_s: float) -> None:
        seen = self._memory.newest
        found: Counter[str] = Counter(problem.kind for problem in report.problems)
        known = turn.known if turn.whole else _most(turn.known, seen.problems)
        problems = _most(found, known)
        for problem in report.problems[:LOGGED_MAX]:
            logger.error(
                "verification_found", kind=problem.kind, position=problem.position, message=problem.message
            )
        logger.info("log_verified", whole=turn.whole, position=report.head.position, found=report.found)
        stored, kept = await self._notes_stored(), self._memory.notes_kept()
        if "rewritten" not in found:  # a restore takes stored notes away
            stored, kept = max(stored, seen.notes_stored), max(kept, seen.notes_kept)
        now_s, head = time.time(), report.head
        whole = (now_s, cpu_s) if turn.whole else (seen.whole_at_s, seen.whole_cpu_s)
        self._memory.keep(Verified(now_s, *whole, head.position, head.hash.hex(), problems, stored, kept))
        text = msgspec.json.encode(problems).decode()
        await self._row("verification_end", head.position, head.hash, turn.whole, text)
        self._back_after_s = None

    def _measure(self) -> None:
        seen = self._memory.recall()
        VERIFIED_AT.labels("new").set(seen.new_at_s)
        VERIFIED_AT.labels("whole").set(seen.whole_at_s)
        VERIFIED_POSITION.set(seen.position)
        for kind in DATABASE_KINDS:
            PROBLEMS.labels(kind).set(seen.problems.get(kind, 0))


def _walks_cpu_s() -> float:
    """CPU seconds of all walks that have ended: this process has no other children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _most(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {kind: max(one.get(kind, 0), other.get(kind, 0)) for kind in one.keys() | other.keys()}
