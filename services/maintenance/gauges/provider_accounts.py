"""How our accounts with the provider stand: their balances, and which of them rest."""

import asyncio
import time
from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.adapters.kie.errors import KieError
from services.generation.provider_accounts import note_balances
from services.generation.provider_limits import ProviderLimits
from services.monitor.metrics import BALANCE, BALANCE_AT, BALANCE_FAILURES, REDIS_FAILURES, RESTING, SPENT
from services.platform.periodic import obey_cancellation

logger = structlog.get_logger()


class Account(Protocol):
    """One account with the provider."""

    async def credit(self) -> Decimal:
        """The balance, within a bounded time. Raises KieError."""


class Provider(Protocol):
    """Whoever renders videos; see services.adapters.kie.gateway.Kie."""

    @property
    def accounts(self) -> Sequence[str]: ...

    def client(self, account: str) -> Account | None: ...


class Balances:
    """`run_once` every minute or so. What is read is noted in Redis too, for `neurocards top`."""

    def __init__(self, provider: Provider, redis: Redis | None = None) -> None:
        self._provider = provider
        self._redis = redis
        self._seen: dict[str, float] = {}

    async def run_once(self) -> int:
        """Read every account's balance; how many could be read. Never raises because of provider or Redis."""
        accounts = self._provider.accounts
        found = await asyncio.gather(*(self._read(account) for account in accounts))
        read = {name: balance for name, balance in zip(accounts, found, strict=True) if balance is not None}
        if self._redis is not None:
            try:
                await note_balances(self._redis, read)
            except (RedisError, OSError) as error:
                obey_cancellation()
                REDIS_FAILURES.inc()
                logger.warning("balances_not_noted", error=repr(error))
        return len(read)

    async def _read(self, account: str) -> Decimal | None:
        client = self._provider.client(account)
        if client is None:
            return None
        try:
            balance = await client.credit()
        except KieError as error:
            BALANCE_FAILURES.labels(account, error.failure.error_class).inc()
            logger.warning("balance_not_read", provider_account=account, error=str(error))
            return None
        now = float(balance)
        BALANCE.labels(account).set(now)
        # A balance that was topped up in between says less than was spent, never more.
        SPENT.labels(account).inc(max(self._seen.get(account, now) - now, 0))
        self._seen[account] = now
        BALANCE_AT.labels(account).set(time.time())
        return balance


class Rests:
    """`run_once` every few seconds."""

    def __init__(self, provider: Provider, limits: ProviderLimits) -> None:
        self._provider = provider
        self._limits = limits

    async def run_once(self) -> int:
        """Look which accounts rest; how many do."""
        rests = await self._limits.rests(self._provider.accounts)
        for account, left_s in rests.items():
            RESTING.labels(account).set(left_s > 0)
        return sum(left_s > 0 for left_s in rests.values())
