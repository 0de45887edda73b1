"""Collects the facts: bounded queries, two round trips per part of Redis.

A server that is away is part of the answer. Nothing here waits for one longer than `ANSWER_S`, and what was
seen of it last is shown on.
"""

import asyncio
import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import msgspec
from redis.exceptions import RedisError

from ledger.postgres import DATABASE_ERRORS, connect_in_turn
from ledger.sql import load_queries
from services.cli.top.model import (
    ErrorLine,
    Facts,
    InPostgres,
    ModelLine,
    OldestJob,
    Process,
    Provider,
    Throughput,
    Waiting,
)
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.error_classes import POLICIES
from services.generation.provider_limits import ProviderRates
from services.generation.provider_limits import look as look_at_provider
from services.platform.database import CONNECT_TIMEOUT_S, server_settings, start_error
from services.platform.errors import explain
from services.platform.redis import command_client
from services.platform.settings import Settings
from services.streams.status import Status, stream_status

if TYPE_CHECKING:
    from ledger.postgres import Pool


query = load_queries("services.cli.top")

ANSWER_S: Final = 5.0
WINDOW_S: Final = 60.0
WINDOW_EVENTS: Final = 20_000
ERRORS_S: Final = 15 * 60.0
_ERRORS_MAX: Final = 12
_PARKED: Final = [name for name, policy in POLICIES.items() if policy.parks]


class Looking:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = command_client(settings)
        self._pool: Pool | None = None
        self._last = Facts("")

    async def look(self) -> Facts:
        """The facts now. Never raises because a server is away."""
        began = time.monotonic()
        at = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        try:
            async with asyncio.timeout(ANSWER_S):
                found = await self._look()
        except DATABASE_ERRORS as error:
            await self._drop_pool()
            words = "Postgres does not answer in time" if self._is_late(error) else str(start_error(error))
            found = msgspec.structs.replace(self._last, postgres=words)
        self._last = msgspec.structs.replace(found, taken_at=at, look_s=time.monotonic() - began)
        return self._last

    async def _look(self) -> Facts:
        pool = await self._connected()
        status = await stream_status(self._redis, pool, lease_s=self._settings.lease_seconds)
        log = await look_at_log(pool)
        provider, redis = await self._provider(status.redis)
        facts = Facts(
            "", status.head, status.epoch, log, status.streams, status.readers, status.consumers, provider,
            redis=redis,
        )  # fmt: skip
        return facts if status.redis is None else self._as_before(facts, status)

    def _as_before(self, facts: Facts, status: Status) -> Facts:
        now = {line.reader for line in status.readers}
        of_redis = [line for line in self._last.readers if line.reader not in now]
        last = self._last
        return msgspec.structs.replace(
            facts, epoch=last.epoch, streams=last.streams, readers=[*of_redis, *status.readers],
            seats=last.seats, provider=last.provider,
        )  # fmt: skip

    async def _provider(self, redis: str | None) -> tuple[Provider | None, str | None]:
        """Our accounts with the provider; and why Redis says nothing."""
        if redis is not None:
            return None, redis
        window_s = ProviderRates().per_s
        try:
            accounts, waiting = await look_at_provider(self._redis, window_s)
        except RedisError as error:
            return None, explain(error)
        return Provider(accounts, waiting, self._settings.kie_creations_per_10_s, window_s), None

    async def _connected(self) -> "Pool":
        if self._pool is None:
            settings = server_settings("top") | {
                "default_transaction_read_only": "on",
                "statement_timeout": f"{int(ANSWER_S * 1000)}ms",
            }
            self._pool = await asyncpg.create_pool(
                self._settings.require_database_url(),
                min_size=1,
                max_size=1,
                connect=connect_in_turn,
                timeout=CONNECT_TIMEOUT_S,
                server_settings=settings,
            )
        return self._pool

    async def _drop_pool(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    def _is_late(self, error: BaseException) -> bool:
        return isinstance(error, TimeoutError | asyncpg.QueryCanceledError)

    async def __aenter__(self) -> "Looking":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop_pool()
        with suppress(RedisError, OSError):
            await self._redis.aclose()


async def look_at_log(pool: "Pool") -> InPostgres:
    """Facts from Postgres alone. Raises what asyncpg raises."""
    async with pool.acquire() as connection:
        window = await connection.fetchrow(query("window"), WINDOW_S, WINDOW_EVENTS)
        jobs = await connection.fetch(query("jobs"))
        oldest = await connection.fetchrow(query("oldest"))
        errors = await connection.fetch(query("errors"), ERRORS_S, _ERRORS_MAX)
        waiting = await connection.fetchrow(query("waiting"), _PARKED)
    assert window is not None and waiting is not None
    return InPostgres(
        Throughput(*window),
        _by_state(jobs),
        _processes(jobs),
        None if oldest is None else OldestJob(*oldest),
        [ErrorLine(*row) for row in errors],
        await _models(pool),
        _waiting(waiting),
    )


def _waiting(row: asyncpg.Record) -> Waiting:
    updates, messages, dead_letters, verified_s, problems = row
    return Waiting(updates, messages, dead_letters, verified_s, json.loads(problems or "{}"))


def _by_state(rows: list[asyncpg.Record]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        found[row["state"]] = found.get(row["state"], 0) + row["jobs"]
    return found


def _processes(rows: list[asyncpg.Record]) -> list[Process]:
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["worker"]:
            found.setdefault(row["worker"], {})[row["state"]] = row["jobs"]
    return [Process(worker, jobs) for worker, jobs in sorted(found.items())]


async def _models(pool: "Pool") -> list[ModelLine]:
    now_us, circuits = await CircuitBook(pool).read()

    def rest_s(until_us: int | None) -> float | None:
        return None if until_us is None else max(until_us - now_us, 0) / 1e6

    return [
        ModelLine(
            circuit.model, circuit.state, circuit.actor or circuit.set_by, circuit.reason,
            max(now_us - circuit.since_us, 0) / 1e6, rest_s(circuit.until_us),
        )
        for circuit in sorted(circuits.values(), key=lambda circuit: circuit.model)
        if not circuit.available
    ]  # fmt: skip
