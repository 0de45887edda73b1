"""Watches log and databases of a running system: when to strike, what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from events.account import CreditsCharged
from events.codec import decode
from events.envelope import Recorded
from events.stream_names import account_stream, job_stream
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from services.platform.database import create_pool
from services.platform.redis import command_client
from services.platform.redis_keys import JOBS
from services.platform.settings import Settings
from services.streams.compare import check_streams
from services.streams.entries import GENERATION

REST_S: Final = 60.0
_LOOK_EVERY_S = 0.02
_DATA_LENGTH_MAX = 220


class LogWatch:
    """Reads only. An async context manager, which opens `pool`, `redis` and `log`."""

    pool: Pool
    redis: Redis
    log: LogReader

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def __aenter__(self) -> LogWatch:
        self.pool = await create_pool(self._settings, "log-watch", max_size=4)
        self.redis = command_client(self._settings)
        self.log = LogReader(self.pool)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.redis.aclose()
        self.pool.terminate()

    async def account_of(self, user_id: int) -> str | None:
        found = await self.pool.fetchval("SELECT account FROM accounts WHERE telegram_id = $1", user_id)
        return None if found is None else str(found)

    async def jobs_of(self, user_id: int) -> list[str]:
        account = await self.account_of(user_id)
        if account is None:
            return []
        events = [decode(event) for event in await self.log.stream(account_stream(account))]
        return [event.job for event in events if isinstance(event, CreditsCharged)]

    async def balance_of(self, user_id: int) -> int:
        """Credits as the log says; 0 for a stranger."""
        account = await self.account_of(user_id)
        return 0 if account is None else (await self.log.account(account)).balance

    async def story(self, job: str) -> list[Recorded]:
        return await self.log.stream(job_stream(job))

    async def until(self, job: str, event_type: str, timeout_s: float) -> bool:
        """Whether the job reached such an event, or its end, in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            seen = {event.type for event in await self.story(job)}
            if event_type in seen or seen & {"JobSucceeded", "JobFailed"}:
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    async def settle(self, timeout_s: float = REST_S) -> list[str]:
        """Wait until no job is open and all readers caught up; returns exceptions."""
        deadline = time.monotonic() + timeout_s
        while waiting := await self.unsettled():
            if time.monotonic() > deadline:
                return waiting
            await asyncio.sleep(0.1)
        return []

    async def unsettled(self) -> list[str]:
        head = (await self.log.head()).position
        waiting = [f"job {job.job} is still open" for job in await self.log.open_jobs()]
        for row in await self.pool.fetch("SELECT name, position FROM cursors WHERE active"):
            if row["position"] != head:
                waiting.append(f"{row['name']} is at {row['position']} of {head}")
        owed = await self.pool.fetchval(
            "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"
        )
        if owed:
            waiting.append(f"{owed} messages are owed")
        stale = "SELECT count(*) FROM status_messages WHERE wanted > shown AND NOT abandoned"
        if cards := await self.pool.fetchval(stale):
            waiting.append(f"{cards} status messages show less than they should")
        if behind := (await check_streams(self.redis, self.pool)).behind:
            waiting.append(f"the streams are {behind} events behind")
        return [*waiting, *await self.pending()]

    async def pending(self) -> list[str]:
        """Entries of `jobs` that a worker has taken and not acknowledged."""
        try:
            summary: Any = await self.redis.xpending(JOBS, GENERATION)
        except ResponseError as error:  # no group, e.g. right after a FLUSHALL
            return [f"the group {GENERATION} of {JOBS}: {error}"]
        count = summary["pending"]
        return [f"{count} entries of {JOBS} are pending: {summary}"] if count else []


def timeline(story: Sequence[Recorded]) -> str:
    """A job's events, one a line: position, seconds since the first, type, data."""
    if not story:
        return "    (no events)"
    first_us = story[0].recorded_at_us
    lines = []
    for event in story:
        data = event.data if len(event.data) <= _DATA_LENGTH_MAX else event.data[:_DATA_LENGTH_MAX] + "…"
        after_s = (event.recorded_at_us - first_us) / 1e6
        lines.append(f"    {event.position:>6} +{after_s:7.3f}s {event.type:<20} {data}")
    return "\n".join(lines)
