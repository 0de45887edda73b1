"""Scheduled verification of the log, so that damage is known within minutes.

Every few minutes what is new is verified: chain, rules, books, and the rows of read models that it touched.
From the log's start everything is, as often as WHOLE_SHARE of a core allows: only that sees an old row
changed. It is done by processes of low priority, one after the other.

Findings are kept until the whole has been verified anew. When it was verified a process knows from its own
memory and the file beside the notes, which those of one machine share; the table is told for who looks at it,
and nothing believes it (docs/decisions/verification-memory.md). Two machines verify everything twice.
"""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import asyncpg
import msgspec
import structlog
from msgspec.structs import replace

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.store import hash_at
from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.verify import schema_drift
from projections.verify.findings import DATABASE_KINDS, Problem
from projections.verify.run import Database, Report, verify
from services.accounts.logged_files import check_files
from services.accounts.personal_data import PersonalData
from services.maintenance.metrics import PROBLEMS, VERIFICATION_FAILURES, VERIFIED_AT, VERIFIED_POSITION
from services.maintenance.verification_memory import VerificationMemory, Verified
from services.platform.blob_stores import open_blobs
from services.platform.database import server_settings
from services.platform.periodic import until_stopped
from services.platform.settings import Settings
from services.recovery import checkpoint_files

query = load_queries("services.maintenance")

logger = structlog.get_logger()

FIRST_S: Final = 30.0
"""While everything starts there is better to do."""
WHOLE_SHARE: Final = 0.05
"""Of a core may go to verifying the whole: it is done as often as that allows, within the settings."""
FAILED_PAUSE_S: Final = 300.0
LOGGED_MAX: Final = 20


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
        self._memory = VerificationMemory(checkpoint_files.folder(settings))
        self._blobs = open_blobs(settings)
        self._by = sha256(schema_drift.text(schema_drift.expected()).encode()).hexdigest()[:16]
        patient = {"statement_timeout": "5min", "idle_in_transaction_session_timeout": "1h"}
        told = server_settings("verify") | patient | {"default_transaction_read_only": "on"}
        self._database = Database(settings.require_database_url(), told)

    @property
    def idle_s(self) -> float:
        return max(min(self._every_s / 10, 15.0), 0.1)

    async def run_once(self) -> int:
        """Verify if due; whether it was. Raises what asyncpg raises when Postgres is away."""
        seen, report = self._memory.recall(), None
        whole_s = min(max(seen.whole_cpu_s / WHOLE_SHARE, self._every_s), self._whole_every_s)
        # What another version has found may be only what that one did not know.
        whole = seen.age_s(whole=True) >= whole_s or (seen.problems != {} and seen.by != self._by)
        due = whole or seen.age_s(whole=False) >= self._every_s
        if due and time.monotonic() >= self._begin_at:
            self._begin_at, before_s = time.monotonic() + FAILED_PAUSE_S, _walks_cpu_s()
            report = await self._report(whole=whole)
            if report is not None:
                await self._end(report, _walks_cpu_s() - before_s, whole=whole)
                self._begin_at = 0.0
        self._measure()
        return int(report is not None)

    async def _report(self, *, whole: bool) -> Report | None:
        """The report; None when it could not be made: an unreadable log must not end the process."""
        try:
            return await until_stopped(self._verify(whole=whole), self._stop)
        except Exception as error:
            VERIFICATION_FAILURES.inc()
            logger.error("verification_failed", whole=whole, reason=repr(error))
        return None

    async def _verify(self, *, whole: bool) -> Report:
        seen = self._memory.newest
        place = Cursor(seen.position, bytes.fromhex(seen.hash))
        after = GENESIS if whole else place
        report = await verify(self._database, after=after, gentle=True)
        beside = await self._beside() if whole else []
        if await hash_at(self._pool, place.position) != place.hash:
            message = "the log does not hold what was verified last: it was rewritten, cut, or restored"
            beside.append(Problem("rewritten", place.position, message))
        elif await self._notes_stored() < seen.notes_stored or self._memory.notes_kept() < seen.notes_kept:
            there = f"{seen.notes_stored} in the table and {seen.notes_kept} in the folder"
            message = f"signed notes are gone: there were {there}"
            beside.append(Problem("checkpoint", None, message))
        return replace(report, problems=[*report.problems, *beside], found=report.found + len(beside))

    async def _beside(self) -> list[Problem]:
        """People, and files where there are any here: their sizes, as reading them takes too long."""
        files = await check_files(self._pool, self._blobs, read=False) if self._blobs.exists else []
        return [*await PersonalData(self._pool).amiss(), *files]

    async def _notes_stored(self) -> int:
        return int(await self._pool.fetchval("SELECT count(*) FROM checkpoints"))

    async def _end(self, report: Report, cpu_s: float, *, whole: bool) -> None:
        seen = self._memory.newest
        found: Counter[str] = Counter(problem.kind for problem in report.problems)
        problems = dict(found) if whole else _most(found, seen.problems)
        for problem in report.problems[:LOGGED_MAX]:
            logger.error(
                "verification_found", kind=problem.kind, position=problem.position, message=problem.message
            )
        logger.info("log_verified", whole=whole, position=report.head.position, found=report.found)
        stored, kept = await self._notes_stored(), self._memory.notes_kept()
        if "rewritten" not in found:  # a restore takes stored notes away
            stored, kept = max(stored, seen.notes_stored), max(kept, seen.notes_kept)
        now_s, head = time.time(), report.head
        last = (now_s, cpu_s) if whole else (seen.whole_at_s, seen.whole_cpu_s)
        place = (head.position, head.hash.hex())
        self._memory.keep(Verified(now_s, *last, *place, problems, stored, kept, self._by))
        try:
            first, told = (msgspec.json.encode(a).decode() for a in (report.problems[:LOGGED_MAX], problems))
            run = (whole, report.events, head.position, report.found, first, told)
            await self._pool.execute(query("verification_end"), *run)
        except (asyncpg.SyntaxOrAccessError, asyncpg.FeatureNotSupportedError) as error:
            logger.error("verification_not_told", reason=str(error))

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
