"""Gauges of maintenance. Times are the database's, not this machine's."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, get_args

import structlog
from redis.asyncio import Redis

from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.models.job_status import ENDED
from projections.models.job_status import State as JobState
from services.adapters.kie.errors import KieError
from services.adapters.kie.gateway import Kie
from services.generation.circuit_breaker.rules import State as ModelState
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.error_classes import POLICIES
from services.generation.provider_limits import look, note_balances
from services.maintenance import metrics
from services.operations.runner import query as operations_query
from services.payments.reconciliation import Kind as DifferenceKind
from services.platform.disks import free_bytes
from services.platform.redis import RedisBreaker
from services.platform.redis_keys import JOBS, LEDGER
from services.recovery.backup_runs import backup_status
from services.streams.entries import GENERATION, position_of

query = load_queries("services.maintenance")

logger = structlog.get_logger()

RELAY: Final = "relay"
REDIS_ANSWER_S: Final = 4.0
"""A frozen Redis, as redis-py tries again and again, keeps one waiting for minutes."""
UNKNOWN_S: Final = 180.0
"""A call and its answer take half a minute at most; a callback may take as long as the video."""
PARKED: Final = tuple(name for name, policy in POLICIES.items() if policy.parks)
STATES: Final = tuple(state for state in get_args(JobState) if state not in ENDED)


def redis_breaker(who: str, answer_s: float | None = REDIS_ANSWER_S) -> RedisBreaker:
    return RedisBreaker(who, answer_s=answer_s, count=metrics.REDIS_FAILURES.inc)


async def measure_open_jobs(pool: Pool) -> int:
    """Measure unfinished jobs, and dead letters; how many are unfinished. Number and age are the ledger's
    own; each job's state is from the read model `job_status`, which may be behind."""
    found = await pool.fetchrow(query("open_jobs_summary"))
    assert found is not None
    metrics.OPEN.set(found["open_jobs"])
    metrics.OVERDUE.set(found["overdue_jobs"])
    metrics.OLDEST_AT.set(found["oldest_at_s"] or 0)
    metrics.UNSTARTED_AT.set(found["unstarted_at_s"] or 0)
    metrics.DEADLINE_AT.set(found["deadline_at_s"] or 0)
    states = {row["state"]: row["jobs"] for row in await pool.fetch(query("open_jobs_by_state"))}
    for state in STATES:
        metrics.IN_STATE.labels(state).set(states.get(state, 0))
    rows = await pool.fetch(query("dead_letters"), PARKED)
    parked = {row["failure_class"]: row["jobs"] for row in rows}
    for error_class in PARKED:
        metrics.DEAD_LETTERS.labels(error_class).set(parked.get(error_class, 0))
    return int(found["open_jobs"])


class UnknownSubmissions:
    """Counts submissions of unknown outcome: nobody may repeat them, a person should know. The deadline ends
    their jobs; until then a callback may still bring the task. One warning per submission."""

    def __init__(self, pool: Pool, *, after_s: float = UNKNOWN_S) -> None:
        self._pool = pool
        self._after_s = after_s
        self._told: set[tuple[str, int]] = set()

    async def run_once(self) -> int:
        rows = await self._pool.fetch(query("unknown_submissions"), self._after_s)
        found = {(row["job"], row["submission"]): row for row in rows}
        for job, submission in found.keys() - self._told:
            row = found[job, submission]
            logger.warning(
                "submission_still_unknown",
                job=job,
                account=row["account"],
                submission=submission,
                provider_account=row["provider_account"],
                for_s=round(row["unknown_s"]),
            )
        self._told = set(found)
        metrics.UNKNOWN.set(len(found))
        return len(found)


async def measure_wal_archive(pool: Pool) -> int:
    """Measure when WAL was archived last: nothing after the last backup is restorable without it. Where
    nothing is archived, or by others, both times are 0."""
    row = await pool.fetchrow(query("archived"))
    assert row is not None
    metrics.ARCHIVED_AT.set(row["archived_at_s"] or 0)
    metrics.ARCHIVE_FAILED_AT.set(row["failed_at_s"] or 0)
    return 0


async def measure_backups(pool: Pool) -> int:
    """Measure how old the last good backup and drill are; nothing where no backup was ever taken."""
    known = await backup_status(pool)
    if known.taken_at_s is not None:
        metrics.BACKUP_OK_AT.labels("backup").set(known.taken_at_s)
        metrics.BACKUP_OK_AT.labels("drill").set(known.drilled_at_s or known.first_at_s or 0)
    metrics.BACKUP_PROBLEMS.set(len(known.problems))
    metrics.DRILL_RESTORE_S.set(known.restore_s or 0)
    metrics.DRILL_LOST_S.set(known.lost_s or 0)
    return 0


async def measure_disks(folders: Mapping[str, Path | None]) -> int:
    """Measure free room of each visible folder's disk."""
    for name, folder in folders.items():
        free = None if folder is None else await asyncio.to_thread(free_bytes, folder)
        if free is None:
            metrics.FREE_BYTES.remove(name)
        else:
            metrics.FREE_BYTES.labels(name).set(free)
    return 0


async def measure_operations(pool: Pool) -> int:
    """Measure since when an operation has not moved."""
    metrics.OPERATION_MOVED_AT.set(await pool.fetchval(operations_query("operations_unmoved_since")))
    return 0


async def measure_models(book: CircuitBook, offered: Iterable[str]) -> int:
    """Measure the state of models on offer or with trouble; how many are not available."""
    _, circuits = await book.read()
    unavailable = 0
    for model in {*offered, *circuits}:
        state = circuits[model].state if model in circuits else "available"
        unavailable += state != "available"
        for possible in get_args(ModelState):
            metrics.MODEL_STATE.labels(model, possible).set(possible == state)
    return unavailable


async def measure_payments(pool: Pool) -> int:
    row = await pool.fetchrow(query("watch_summary"))
    uncredited = await pool.fetchrow(query("uncredited"))
    compared = await pool.fetchrow(query("newest_comparisons"))
    assert row is not None and uncredited is not None and compared is not None
    metrics.PAYMENTS_OPEN.labels("payment").set(row["payments"])
    metrics.PAYMENTS_OPEN.labels("refund").set(row["refunds"])
    metrics.OLDEST_REFUND_AT.set(row["oldest_refund_at_s"])
    for why, since_s in uncredited.items():
        metrics.UNCREDITED_AT.labels(why).set(since_s)
    rows = await pool.fetch(query("differences"), compared["comparisons"])
    found: dict[str, int] = {kind: count for kind, count in rows}
    metrics.COMPARED_AT.set(compared["ended_s"])
    for kind in get_args(DifferenceKind):
        metrics.DIFFERENCES.labels(kind).set(found.get(kind, 0))
    return 0


class Rests:
    """Measures which of our accounts rest. While Redis is away the last known stays."""

    def __init__(self, kie: Kie, redis: Redis) -> None:
        self._kie = kie
        self._redis = redis
        self._breaker = redis_breaker("rests")

    async def run_once(self) -> int:
        looked = await self._breaker.ask(lambda: look(self._redis, 0.0))
        if looked is None:
            return 0
        resting = {found.account for found in looked[0] if found.rests_s > 0}
        for account in self._kie.accounts:
            metrics.RESTING.labels(account).set(account in resting)
        return len(resting.intersection(self._kie.accounts))


class Balances:
    """Measures every account's balance; noted in Redis, too, for `neurocards top`."""

    def __init__(self, kie: Kie, redis: Redis | None = None) -> None:
        self._kie = kie
        self._redis = redis
        self._breaker = redis_breaker("balances")
        self._seen: dict[str, float] = {}
        self._read_last: dict[str, Decimal] = {}

    @property
    def most(self) -> Decimal | None:
        """The highest balance that could be read last; None: none could."""
        return max(self._read_last.values(), default=None)

    async def run_once(self) -> int:
        """How many could be read. Never raises because of provider or Redis."""
        accounts = self._kie.accounts
        found = await asyncio.gather(*(self._read(account) for account in accounts))
        read = {name: balance for name, balance in zip(accounts, found, strict=True) if balance is not None}
        self._read_last = read
        if (redis := self._redis) is not None:
            await self._breaker.ask(lambda: note_balances(redis, read))
        return len(read)

    async def _read(self, account: str) -> Decimal | None:
        client = self._kie.client(account)
        if client is None:
            return None
        try:
            balance = await client.credit()
        except KieError as error:
            metrics.BALANCE_FAILURES.labels(account, error.failure.error_class).inc()
            logger.warning("balance_not_read", provider_account=account, error=str(error))
            return None
        now = float(balance)
        metrics.BALANCE.labels(account).set(now)
        # A balance that was topped up in between says less than was spent, never more.
        metrics.SPENT.labels(account).inc(max(self._seen.get(account, now) - now, 0))
        self._seen[account] = now
        metrics.BALANCE_AT.labels(account).set(time.time())
        return balance


class ConsumerLag:
    """Measures each consumer's lag behind the log, also of dead processes. While Redis is away no position in
    it is known, but what was published last was: nothing since."""

    def __init__(self, pool: Pool, redis: Redis | None) -> None:
        self._pool = pool
        self._redis = redis
        self._breaker = redis_breaker("lags")
        self._published: int | None = None

    async def run_once(self) -> int:
        head = 0
        for name, position, head, unapplied_at_s in await self._pool.fetch(query("lags")):
            metrics.LAG.labels(name).set(max(head - position, 0))
            metrics.UNAPPLIED_AT.labels(name).set(unapplied_at_s or 0)
        if self._redis is not None:
            await self._in_redis(self._redis, head)
            await self._unpublished()
        return 0

    async def _unpublished(self) -> None:
        if self._published is None:
            metrics.UNAPPLIED_AT.labels(RELAY).set(float("nan"))
            return
        recorded_at_s = await self._pool.fetchval(query("recorded_at"), self._published + 1)
        metrics.UNAPPLIED_AT.labels(RELAY).set(recorded_at_s or 0)

    async def _in_redis(self, redis: Redis, head: int) -> None:
        found = await self._breaker.ask(lambda: _positions(redis))
        if found is None:
            for consumer in (RELAY, GENERATION):
                metrics.LAG.labels(consumer).set(float("nan"))
            return
        published, queued, delivered = found
        self._published = published
        metrics.LAG.labels(RELAY).set(max(head - published, 0))
        metrics.LAG.labels(GENERATION).set(max(queued - delivered, 0))


async def _positions(redis: Redis) -> tuple[int, int, int]:
    """Positions: last event published, newest entry of `jobs`, last one given to a worker."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.xinfo_stream(LEDGER)
        pipe.xinfo_stream(JOBS)
        pipe.xinfo_groups(JOBS)
        ledger, jobs, groups = await pipe.execute(raise_on_error=False)
    delivered = next(
        (group["last-delivered-id"] for group in _found(groups, []) if group["name"] == GENERATION.encode()),
        b"0-0",
    )
    return (
        position_of(_found(ledger, {}).get("last-generated-id", b"0-0")) or 0,
        position_of(_found(jobs, {}).get("last-generated-id", b"0-0")) or 0,
        position_of(delivered) or 0,
    )


def _found(reply: Any, nothing: Any) -> Any:
    """The reply; `nothing` for a stream that is missing (the server says so as an error)."""
    return nothing if isinstance(reply, Exception) else reply
