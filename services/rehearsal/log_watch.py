"""Who looks at the log beside the chat: only reads, to know when to strike and to tell what happened."""

from __future__ import annotations

import asyncio
import time

from redis.asyncio import Redis

from events.account import CreditsCharged
from events.codec import decode
from events.envelope import Recorded
from events.stream_names import account_stream, job_stream
from ledger.log.ledger import LogReader
from ledger.postgres import Pool
from services.platform.database import create_pool
from services.platform.errors import StartError
from services.platform.redis import command_client
from services.platform.settings import Settings

_LOOK_EVERY_S = 0.02


class Witness:
    """Reads the ledger of a running stack. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool: Pool | None = None
        self._redis: Redis | None = None

    async def __aenter__(self) -> Witness:
        self._pool = await create_pool(self._settings, "witness", max_size=4)
        self._redis = command_client(self._settings)
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._redis is not None:
            await self._redis.aclose()
        if self._pool is not None:
            self._pool.terminate()

    @property
    def pool(self) -> Pool:
        if self._pool is None:
            raise StartError("the witness has not been opened")
        return self._pool

    @property
    def redis(self) -> Redis:
        if self._redis is None:
            raise StartError("the witness has not been opened")
        return self._redis

    @property
    def log(self) -> LogReader:
        return LogReader(self.pool)

    async def account_of(self, user_id: int) -> str | None:
        """The seller's account; None when they never came."""
        found = await self.pool.fetchval("SELECT account FROM accounts WHERE telegram_id = $1", user_id)
        return None if found is None else str(found)

    async def jobs_of(self, user_id: int) -> list[str]:
        """The jobs the seller was charged for, in order."""
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
        """The job's events in order."""
        return await self.log.stream(job_stream(job))

    async def until(self, job: str, event_type: str, timeout_s: float) -> bool:
        """Whether the job came to such an event, or to its end, in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            seen = {event.type for event in await self.story(job)}
            if event_type in seen or seen & {"JobSucceeded", "JobFailed"}:
                return True
            await asyncio.sleep(_LOOK_EVERY_S)
        return False

    async def projected_balance(self, account: str) -> int | None:
        """What the projection says; None when it does not know the account."""
        found = await self.pool.fetchval("SELECT balance FROM balances WHERE account = $1", account)
        return None if found is None else int(found)
