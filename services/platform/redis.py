"""Redis or Valkey clients, to one server or through Sentinels.

redis-py's timeouts, retries and protocol differ by version; all are set here.

Two kinds, never mixed:
- `command_client` for everything that answers at once. It retries a lost connection a few times, so what it
  sends must be safe to send twice: explicit stream IDs, scripts that check, SETs; never `XADD *` or INCR.
  No health checks before commands: with retries, redis-py 8 checks a frozen server for ever, each check
  within the one before; a dead connection is noticed by the command itself.
- `blocking_client` for XREAD and XREADGROUP with BLOCK. No retries: an abandoned blocked read can swallow an
  entry, so after any error its user reads its own pending entries again; a retry inside would hide that.

Each connection is asked what it leads to: WrongRedisError for what is never right; a replica (Sentinel's news
may be old) is left as if it had not answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import structlog
from redis.asyncio import Redis
from redis.asyncio.connection import ConnectionPool, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from services.platform.errors import SettingsError, StartError, explain
from services.platform.outage_log import REDIS
from services.platform.periodic import obey_cancellation
from services.platform.settings import Settings

logger = structlog.get_logger()

T = TypeVar("T")

COMMAND_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 3.0
BLOCK_MARGIN_S = 3.0
AWAY_S = 5.0
SENTINEL_S = 1.0
SENTINEL_PORT = 26379
_RIGHT_FORM = "redis+sentinel://HOST,HOST,HOST/NAME"


class WrongRedisError(StartError, RedisError):
    """What answers is alive, but never what is needed."""


class RedisReplicaError(StartError, RedisConnectionError):
    """It may become the primary, or another may be named: asking again helps."""


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
        "protocol": 2,
        "redis_connect_func": partial(_ask_what_it_is, "standalone"),
    }
    url = settings.require_redis_url()
    try:
        watched = urlsplit(url).scheme.endswith("+sentinel")
        client: Redis = _primary(urlsplit(url), options) if watched else Redis.from_url(url, **options)
        _tell_closed(client.connection_pool)
        client.connection_pool.connection_class(**client.connection_pool.connection_kwargs)
    except (TypeError, ValueError, RedisError) as error:
        raise SettingsError([f"REDIS_URL: {error}"]) from error
    return client


def _primary(url: SplitResult, options: dict[str, Any]) -> Redis:
    """Client of the primary; the Sentinels are asked for each new connection."""
    login, at, hosts = url.netloc.rpartition("@")
    name, _, database = url.path.strip("/").partition("/")
    scheme = url.scheme.removesuffix("+sentinel")
    given = {**parse_url(f"{scheme}://{login}{at}sentinel/{database}?{url.query}")}
    del given["host"]
    tls = given.pop("connection_class", None) is not None
    theirs = {part: given.pop(f"sentinel_{part}", None) for part in ("username", "password")}
    asked = {
        **{option: value for option, value in given.items() if option.startswith("ssl_")},
        **theirs,
        "ssl": tls,
        "socket_timeout": SENTINEL_S,
        "socket_connect_timeout": SENTINEL_S,
        "retry": Retry(NoBackoff(), retries=0),
        "driver_info": None,
        "protocol": 2,
        "redis_connect_func": partial(_ask_what_it_is, "sentinel"),
    }
    places = [urlsplit(f"//{host}") for host in hosts.split(",")]
    addresses = [(place.hostname, place.port or SENTINEL_PORT) for place in places]
    sentinel = Sentinel(addresses, sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
    for asked_one in sentinel.sentinels:
        _tell_closed(asked_one.connection_pool)
    client: Redis = sentinel.master_for(
        name, connection_pool_class=_PrimaryPool, **{**options, **given, "ssl": tls}
    )
    return client


class _Closed:
    async def send_packed_command(self, *words: Any, **options: Any) -> None:
        """Raises ConnectionError where uvloop says RuntimeError: closed."""
        try:
            await super().send_packed_command(*words, **options)  # type: ignore[misc]
        except RuntimeError as error:
            raise RedisConnectionError(str(error)) from error


def _tell_closed(pool: ConnectionPool) -> None:
    """Make a lost connection an error of Redis, for this pool."""
    kind = pool.connection_class
    pool.connection_class = type(kind.__name__, (_Closed, kind), {})


class _PrimaryPool(SentinelConnectionPool):
    async def aclose(self) -> None:
        """redis-py leaves its connections to the Sentinels open."""
        await super().aclose()
        await self.sentinel_manager.aclose()


async def _ask_what_it_is(wanted: str, connection: Any) -> None:
    """Raises WrongRedisError for a server of another mode, RedisReplicaError for a replica."""
    await connection.on_connect()
    await connection.send_command("HELLO", check_health=False)
    try:
        told = [_text(word) for word in await connection.read_response()]
    except ResponseError:
        return  # a managed Redis may forbid it
    said = dict(zip(told[::2], told[1::2], strict=False))
    match said.get("mode", wanted), wanted:
        case "cluster", _:
            raise WrongRedisError(
                "REDIS_URL leads to a cluster, which is not spoken: all keys lie in one slot, "
                "so it would bring nothing; use one server, or Sentinels"
            )
        case "sentinel", "standalone":
            raise WrongRedisError(f"REDIS_URL leads to a Sentinel, which holds no data: write {_RIGHT_FORM}")
        case "standalone", "sentinel":
            raise WrongRedisError(
                "REDIS_URL names Sentinels, but a server answers there: write redis://HOST/0"
            )
    if wanted == "standalone" and said.get("role") == "replica":
        raise RedisReplicaError("REDIS_URL leads to a replica, which can only be read: name the primary")


async def require_redis(settings: Settings) -> None:
    """Raises WrongRedisError. One that is away is waited for by whoever needs it."""
    client = blocking_client(settings, block_s=0)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S), client:
            await client.ping()
    except WrongRedisError:
        raise
    except (RedisError, OSError, TimeoutError):
        obey_cancellation()


class RedisBreaker:
    """Circuit breaker for what can do without Redis: after a failure it is left alone for AWAY_S.

    The outage is logged under `who`, and `count` called once for all who asked together.
    """

    def __init__(
        self, who: str, *, answer_s: float | None = None, count: Callable[[], None] = lambda: None
    ) -> None:
        self._who = who
        self._answer_s = answer_s
        self._count = count
        self._away_until = 0.0

    async def ask(self, call: Callable[[], Awaitable[T]]) -> T | None:
        """The answer, if it comes within `answer_s`; None: do without Redis."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(self._answer_s):
                answer = await call()
            REDIS.over(self._who)
            return answer
        except (RedisError, OSError, TimeoutError) as error:
            obey_cancellation()
            if time.monotonic() >= self._away_until:
                self._away_until = time.monotonic() + AWAY_S
                REDIS.met(error, self._who)
                self._count()
            return None


async def check_redis(client: Redis) -> dict[str, str]:
    """Server version and persistence settings. Raises StartError without an answer."""
    try:
        await client.ping()
        info = await client.info("server")
    except WrongRedisError:
        raise
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
