"""Rate limits of the provider across workers; fair turns between users.

20 creations in 10 seconds per account and 10 reads a second per key; an account with trouble rests. Kept in
Redis; while it is away each process keeps to the same limits alone: a creation too many is refused by the
provider before anything is made, and tried again.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from services.platform.batching import RedisBatcher
from services.platform.lua import load_script
from services.platform.metrics import LIMITER_ALONE, LIMITER_WAIT
from services.platform.redis import RedisBreaker
from services.platform.redis_keys import (
    KIE_BALANCES,
    KIE_RESTING,
    KIE_SEEN,
    KIE_TAGS,
    KIE_VIRTUAL,
    KIE_WAITING,
    kie_in_flight,
    kie_made,
    kie_reads,
)

_ANSWER_S: Final = 0.5
_SCRIPTS: Final = ("turn", "rest", "read")


LATE_VIDEO_S: Final = 86_400
"""How long a video is looked for after its refund."""


class ProviderRates(msgspec.Struct, frozen=True):
    """Per account. `in_flight_max`: submissions of one user at once, each counted for `in_flight_s` at most.
    Whoever waits and has not asked for `forget_s` loses their place: their process has died."""

    creations: int = 20
    per_s: float = 10.0
    reads_per_s: float = 10.0
    urgent_share: float = 0.3
    rest_s: float = 15.0
    rest_s_max: float = 600.0
    in_flight_max: int = 20
    in_flight_s: float = 1800.0
    forget_s: float = 6.0


class Turn(msgspec.Struct, frozen=True):
    """`account`: create now, with it. Without: ask again after `wait_s`. `resting`: every account rests."""

    account: str
    wait_s: float
    resting: bool


class ProviderLimits:
    """Rate limiter. Never raises because of Redis. Simultaneous calls are batched."""

    def __init__(self, redis: Redis | None, rates: ProviderRates | None = None) -> None:
        self._rates = rates or ProviderRates()
        scripts = {name: load_script(__package__, f"provider_{name}") for name in _SCRIPTS}
        self._redis = RedisBatcher(redis, scripts, answer_s=_ANSWER_S) if redis else None
        self._own = _OwnLimits(self._rates)
        self._breaker = RedisBreaker("provider limits", count=LIMITER_ALONE.inc)
        self._troubled: set[str] = set()

    async def turn(self, ticket: str, user: str, accounts: Sequence[str]) -> Turn:
        """Ask for a turn to create; `ticket` (the job) identifies the waiter from call to call."""
        rates = self._rates
        keys = [KIE_WAITING, KIE_SEEN, KIE_TAGS, KIE_RESTING, kie_in_flight(user), KIE_VIRTUAL]
        keys += map(kie_made, accounts)
        limits = (rates.per_s * 1000, rates.creations, rates.forget_s * 1000, rates.in_flight_max)
        numbers = [int(limit) for limit in (*limits, rates.in_flight_s * 1000)]
        answer = await self._run("turn", keys, [ticket, user, *numbers, *accounts])
        if answer is None:
            return self._own.turn(accounts)
        chosen, wait_ms, resting, troubled = answer
        account = chosen.decode()
        if troubled:
            self._troubled.add(account)
        return Turn(account, int(wait_ms) / 1000, bool(resting))

    async def done(self, ticket: str, user: str) -> None:
        """Release the user's place in flight: the submission is over, or was never made."""
        await self._ask(lambda redis: redis.ask("ZREM", kie_in_flight(user), ticket))

    async def read_wait_s(self, account: str, *, urgent: bool = False) -> float:
        """Reserve one read with the account's key; the seconds to wait before making it. Urgent ones (the
        provider says that something is new) have a share of their own and overtake the rest."""
        share = self._rates.urgent_share if urgent else 1 - self._rates.urgent_share
        interval_us = int(1e6 / (self._rates.reads_per_s * share))
        lane = f"{account}:urgent" if urgent else account
        wait_us = await self._run("read", [kie_reads(lane)], [interval_us])
        wait_s = self._own.read_wait_s(lane, interval_us / 1e6) if wait_us is None else int(wait_us) / 1e6
        LIMITER_WAIT.labels("read").observe(wait_s)
        return wait_s

    async def rest(self, account: str) -> float:
        """Rest an account, twice as long each time in a row; the seconds."""
        rates = self._rates
        times_ms = (int(rates.rest_s * 1000), int(rates.rest_s_max * 1000))
        rest_ms = await self._run("rest", [KIE_RESTING], [account, *times_ms])
        seconds = rates.rest_s if rest_ms is None else int(rest_ms) / 1000
        self._own.rest(account, seconds)
        self._troubled.add(account)
        return seconds

    async def wake(self, account: str) -> None:
        if account in self._troubled:
            self._troubled.discard(account)
            self._own.rest(account, 0)
            await self._ask(lambda redis: redis.ask("HDEL", KIE_RESTING, account, f"{account}:row"))

    async def _run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        return await self._ask(lambda redis: redis.run(script, keys, arguments))

    async def _ask(self, call: Callable[[RedisBatcher], Awaitable[Any]]) -> Any:
        redis = self._redis
        return None if redis is None else await self._breaker.ask(lambda: call(redis))


class _OwnLimits:
    def __init__(self, rates: ProviderRates) -> None:
        self._rates = rates
        self._made: dict[str, deque[float]] = {}
        self._read_at: dict[str, float] = {}
        self._rests: dict[str, float] = {}

    def turn(self, accounts: Sequence[str]) -> Turn:
        now, rates = time.monotonic(), self._rates
        well = [account for account in accounts if self._rests.get(account, 0.0) <= now]
        if not well:
            return Turn("", min(self._rests[account] for account in accounts) - now, True)
        soonest = rates.per_s
        for account in sorted(well, key=lambda name: len(self._made_of(name, now))):
            made = self._made[account]
            if len(made) < rates.creations:
                made.append(now)
                return Turn(account, 0.0, False)
            soonest = min(soonest, made[0] + rates.per_s - now)
        return Turn("", soonest, False)

    def _made_of(self, account: str, now: float) -> deque[float]:
        made = self._made.setdefault(account, deque())
        while made and made[0] <= now - self._rates.per_s:
            made.popleft()
        return made

    def read_wait_s(self, lane: str, interval_s: float) -> float:
        now = time.monotonic()
        at = max(self._read_at.get(lane, 0.0), now)
        self._read_at[lane] = at + interval_s
        return at - now

    def rest(self, account: str, seconds: float) -> None:
        self._rests[account] = time.monotonic() + seconds


# How our accounts stand, for people who look: gone after a wipe, back with the next round of maintenance.

_FORGET_S = 3600
"""A balance nobody could read for so long is not shown: its key has probably been taken away."""


class ProviderAccount(msgspec.Struct, frozen=True):
    """An account: its balance as of `read_s` ago, rest left, and creations in the window."""

    account: str
    credits: float | None
    read_s: float | None
    rests_s: float
    creations: int


async def note_balances(redis: Redis, balances: Mapping[str, Decimal]) -> None:
    """Store balances just read. Raises RedisError."""
    if not balances:
        return
    now_s, _ = await redis.time()
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(KIE_BALANCES, mapping={account: f"{value} {now_s}" for account, value in balances.items()})
        pipe.expire(KIE_BALANCES, _FORGET_S)
        await pipe.execute()


async def look(redis: Redis, window_s: float) -> tuple[list[ProviderAccount], int]:
    """Every known account, and how many submissions wait for a turn. Raises RedisError."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hgetall(KIE_BALANCES)
        pipe.hgetall(KIE_RESTING)
        pipe.zcard(KIE_WAITING)
        pipe.ping()  # refused with writes by one whose disk is full
        (seconds, micros), raw_balances, raw_rests, waiting, _ = await pipe.execute()
    now_s = seconds + micros / 1e6
    until_ms = {name.decode(): int(value) for name, value in raw_rests.items() if b":" not in name}
    rests = {name: value / 1000 - now_s for name, value in until_ms.items()}
    balances = {name.decode(): _balance(value, now_s) for name, value in raw_balances.items()}
    fresh = {name: found for name, found in balances.items() if found[1] < _FORGET_S}
    names = sorted({*fresh, *(name for name, left_s in rests.items() if left_s > 0)})
    async with redis.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.zcount(kie_made(name), (now_s - window_s) * 1000, "+inf")
        made = await pipe.execute() if names else []
    found = []
    for name, count in zip(names, made, strict=True):
        credits, read_s = fresh.get(name, (None, None))
        found.append(ProviderAccount(name, credits, read_s, max(rests.get(name, 0.0), 0.0), count))
    return found, waiting


def _balance(value: bytes, now_s: float) -> tuple[float, float]:
    """Credits, and seconds since they were read."""
    credits, read_at_s = value.split()
    return float(credits), max(now_s - int(read_at_s), 0.0)
