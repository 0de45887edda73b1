"""Scheduled verification of the log, so that damage is known within minutes.

Every few minutes what is new is verified: chain, rules, books, and the rows of read models that it touched.
Once a day everything is, from the log's start: only that sees an old row changed. It is done by processes of
low priority, one after the other.

Findings are kept until the whole has been verified anew, which is done more often while something is wrong.
Two processes: the row says whose turn it is; a killed one's turn is taken over when it has run out, and then
both may verify at once, which costs time and nothing else.
"""

import asyncio
import time
from collections import Counter
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from events.envelope import GENESIS, Cursor
from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.verify.findings import DATABASE_KINDS
from projections.verify.run import Database, Report, verify
from services.accounts.personal_data import PersonalData
from services.maintenance.metrics import PROBLEMS, VERIFICATION_FAILURES, VERIFIED_AT, VERIFIED_POSITION
from services.platform.database import server_settings
from services.platform.settings import Settings

query = load_queries("services.maintenance")

logger = structlog.get_logger()

FIRST_S: Final = 30.0
"""While everything starts there is better to do."""
TURN_S: Final = 1800.0
AGAIN_S: Final = 900.0
"""Pause between two verifications of the whole while something is wrong."""
FAILED_PAUSE_S: Final = 300.0
LOGGED_MAX: Final = 20


class Turn(msgspec.Struct, frozen=True):
    """A verification to do: all, or after a place; `known` was wrong before that."""

    whole: bool
    after: Cursor
    known: dict[str, int] = {}


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
            self._back_after_s = FAILED_PAUSE_S
            report = await self._report(turn)
            if report is not None:
                await self._end(turn, report)
            await self._give_back()
        await self._measure()
        return int(report is not None)

    async def _take(self) -> Turn | None:
        row = await self._pool.fetchrow(
            query("verification_take"), self._every_s, self._whole_every_s, AGAIN_S, TURN_S
        )
        if row is None:
            return None
        if row["whole"]:
            return Turn(whole=True, after=GENESIS)
        return Turn(whole=False, after=Cursor(row["position"], row["hash"]), known=_counts(row["problems"]))

    async def _give_back(self) -> None:
        if self._back_after_s is not None:
            await self._pool.execute(query("verification_give_back"), self._back_after_s)
            self._back_after_s = None

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
        report = await verify(self._database, after=turn.after, gentle=True)
        amiss = await PersonalData(self._pool).amiss() if turn.whole else []
        return replace(report, problems=[*report.problems, *amiss], found=report.found + len(amiss))

    async def _end(self, turn: Turn, report: Report) -> None:
        found: Counter[str] = Counter(problem.kind for problem in report.problems)
        problems = {kind: max(found[kind], turn.known.get(kind, 0)) for kind in found.keys() | turn.known}
        for problem in report.problems[:LOGGED_MAX]:
            logger.error(
                "verification_found", kind=problem.kind, position=problem.position, message=problem.message
            )
        logger.info("log_verified", whole=turn.whole, position=report.head.position, found=report.found)
        text = msgspec.json.encode(problems).decode()
        await self._pool.execute(
            query("verification_end"), report.head.position, report.head.hash, turn.whole, text
        )
        self._back_after_s = None

    async def _measure(self) -> None:
        row = await self._pool.fetchrow(query("verification"))
        assert row is not None
        VERIFIED_AT.labels("new").set(row["new_at_s"])
        VERIFIED_AT.labels("whole").set(row["whole_at_s"])
        VERIFIED_POSITION.set(row["position"])
        problems = _counts(row["problems"])
        for kind in DATABASE_KINDS:
            PROBLEMS.labels(kind).set(problems.get(kind, 0))


def _counts(text: str) -> dict[str, int]:
    return msgspec.json.decode(text, type=dict[str, int])
