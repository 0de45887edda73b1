"""Redis or Valkey clients. redis-py's timeouts, retries and protocol differ by version; all are set here.

Two kinds, never mixed:
- `command_client` for everything that answers at once. It retries a lost connection a few times, so what it
  sends must be safe to send twice: explicit stream IDs, scripts that check, SETs; never `XADD *` or INCR.
  No health checks before commands: with retries, redis-py 8 checks a frozen server for ever, each check
  within the one before; a dead connection is noticed by the command itself.
- `blocking_client` for XREAD and XREADGROUP with BLOCK. No retries: an abandoned blocked read can swallow an
  entry, so after any error its user reads its own pending entries again; a retry inside would hide that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.platform.errors import SettingsError, StartError, explain
from services.platform.periodic import obey_cancellation
from services.platform.settings import Settings

logger = structlog.get_logger()

T = TypeVar("T")

COMMAND_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
BLOCK_MARGIN_S = 3.0
AWAY_S = 5.0


def command_client(settings: Settings, *, max_connections: int = 50) -> Redis:
    """Client for commands that answer at once; answers are bytes."""
    return _client(
        settings,
        socket_timeout=COMMAND_TIMEOUT_S,
        max_connections=max_connections,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), retries=3),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
    )


def blocking_client(settings: Settings, block_s: float) -> Redis:
    """Client for one reader's blocking reads of up to `block_s`."""
    return _client(
        settings,
        socket_timeout=block_s + BLOCK_MARGIN_S,
        max_connections=2,
        retry=Retry(NoBackoff(), retries=0),
        retry_on_error=[],
    )


def _client(settings: Settings, **options: Any) -> Redis:
    """Raises SettingsError for unknown redis-py options after the address's `?`."""
    options |= {
        "decode_responses": False,
        "socket_connect_timeout": CONNECT_TIMEOUT_S,
        "health_check_interval": 0,
        "driver_info": None,  # else each connection reads redis-py's version from disk, to tell it
    }
    try:
        client: Redis = Redis.from_url(settings.require_redis_url(), protocol=2, **options)
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (TypeError, ValueError, RedisError) as error:
        raise SettingsError([f"REDIS_URL: {error}"]) from error
    return client


class RedisBreaker:
    """Circuit breaker for what can do without Redis: after a failure it is left alone for AWAY_S.

    `failed_event` is logged, and `count` called, once for all who asked together.
    """

    def __init__(
        self, failed_event: str, *, answer_s: float | None = None, count: Callable[[], None] = lambda: None
    ) -> None:
        self._failed_event = failed_event
        self._answer_s = answer_s
        self._count = count
        self._away_until = 0.0

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The answer, if it comes within `answer_s`; None: do without Redis."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(self._answer_s):
                return await call()
        except (RedisError, OSError, TimeoutError) as error:
            obey_cancellation()
            if time.monotonic() >= self._away_until:
                self._away_until = time.monotonic() + AWAY_S
                logger.warning(self._failed_event, error=repr(error), for_s=AWAY_S)
                self._count()
            return None


async def check_redis(client: Redis) -> dict[str, str]:
    """Server version and persistence settings. Raises StartError without an answer."""
    try:
        await client.ping()
        info = await client.info("server")
    except RedisError as error:
        raise StartError(explain(error) or repr(error)) from error
    found = {"version": str(info.get("valkey_version") or info.get("redis_version"))}
    for name in ("maxmemory-policy", "appendonly"):
        try:
            found[name] = _text((await client.config_get(name)).get(name))
        except RedisError:
            found[name] = "unknown"  # a managed Redis may forbid CONFIG
    return found


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
