"""Consumer: a stream's entries, leased by one of many processes.

A process sits in a numbered seat (`w1`, `w2`, …), a key that expires with the lease; the seat's name is its
consumer's, so there are never more consumers than there were processes at once. It renews at a quarter of the
lease, and reclaims what others have let lie for longer than the lease. This only decides who tries: runs in
the ledger say who may work.

Redis may go away, freeze, or come back empty at any moment. Work in hand goes on meanwhile; an entry that is
pending nowhere any more stays in hand until it is delivered again, to us or to another.
"""

import asyncio
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.platform.backoff import backoff_s
from services.platform.outage_log import REDIS
from services.platform.redis_keys import seat_key
from services.streams.consumer.held_entries import EntryHandler, HeldEntries
from services.streams.consumer.read import Reader, make_group
from services.streams.consumer.reclaim import Reclaimer
from services.streams.consumer.scripts import OTHERS, Claim, Scripts

logger = structlog.get_logger()

SEATS_MAX = 100_000


class Consumer:
    """One process's share of a stream.

    After `start`, run `read`, `reclaim` and `keep` side by side. To stop: end `read` and `reclaim`, let the
    handler finish or give back what it can, end `keep`, then `leave`. `blocking` is for the blocking read
    alone.
    """

    def __init__(
        self, redis: Redis, blocking: Redis, holder: EntryHandler, *, stream: str, group: str, lease_s: float
    ) -> None:
        claim = Claim(stream, group, "", "", secrets.token_hex(8), int(lease_s * 1000))
        self._redis = redis
        self._lease_s = lease_s
        self._scripts = Scripts(redis)
        self._held = HeldEntries(claim, holder)
        self._reader = Reader(redis, blocking, self._held)
        self._reclaimer = Reclaimer(self._scripts, self._held, lease_s)
        self._renewed_at: float | None = None

    @property
    def name(self) -> str:
        return self._held.claim.consumer

    @property
    def held(self) -> int:
        return len(self._held.held)

    def status(self) -> dict[str, Any]:
        """Seat and lease; `renewed_s` ago it was renewed, None: never."""
        loop = asyncio.get_running_loop()
        renewed_s = None if self._renewed_at is None else round(loop.time() - self._renewed_at, 1)
        return {
            "seat": self.name,
            "entries": self.held,
            "to_acknowledge": len(self._held.done),
            "to_give_back": len(self._held.released),
            "lease_s": self._lease_s,
            "renewed_s": renewed_s,
        }

    async def start(self) -> None:
        await make_group(self._redis, self._held.claim.stream, self._held.claim.group)
        await self._take_seat()

    def done(self, entry: str) -> None:
        """The work is done and durable: acknowledge."""
        self._held.finish(entry)

    def release(self, entry: str) -> None:
        """Not done: another process may take it at once."""
        self._held.give_back(entry)

    def drop(self, entry: str) -> None:
        """Not done, to be left alone until its lease runs out."""
        self._held.held.discard(entry)

    def reclaim_soon(self) -> None:
        self._reclaimer.now.set()

    async def read(self) -> None:
        await self._reader.run()

    async def reclaim(self) -> None:
        await self._reclaimer.run()

    async def keep(self) -> None:
        loop = asyncio.get_running_loop()
        renew_at = loop.time()
        failures = 0
        while True:
            if loop.time() >= renew_at:
                renew_at = loop.time() + self._lease_s / 4 * random.uniform(0.8, 1.0)
                await self._guarded(self.renew, "renew")
            settled = await self._guarded(self._settle, "acknowledge")
            failures = 0 if settled else failures + 1
            pause_s = backoff_s(failures, 0.1, 1.0) if failures else renew_at - loop.time()
            try:
                async with asyncio.timeout(max(0.0, min(pause_s, renew_at - loop.time()))):
                    await (asyncio.sleep(pause_s) if failures else self._held.flush_requested.wait())
            except TimeoutError:
                continue

    async def renew(self) -> None:
        """Renew seat and leases; report entries others have. Raises RedisError."""
        held = list(self._held.held)
        states = await self._scripts.renew(self._held.claim, held)
        if states is None:
            logger.error("seat_lost", consumer=self.name, entries=len(held))
            self._held.lose(held)
            await self._take_seat()
            return
        self._renewed_at = asyncio.get_running_loop().time()
        self._held.lose([entry for entry in held if states[entry] == OTHERS and entry in self._held.held])

    async def leave(self) -> None:
        """Acknowledge, give back the rest, free the seat. Raises RedisError."""
        await self._settle()
        released = await self._scripts.leave(self._held.claim)
        self._held.held.clear()
        logger.info("seat_left", consumer=self.name, entries_given_back=released)

    async def _settle(self) -> None:
        held = self._held
        held.flush_requested.clear()
        if done := list(held.done):
            await self._scripts.ack(held.claim, done)
            held.done.difference_update(done)
        if released := list(held.released):
            await self._scripts.release(held.claim, released)
            held.released.difference_update(released)

    async def _take_seat(self) -> None:
        claim = self._held.claim
        for number in range(1, SEATS_MAX):
            seat = seat_key(claim.group, f"w{number}")
            if await self._redis.set(seat, claim.token, nx=True, px=claim.lease_ms):
                self._held.claim = replace(claim, consumer=f"w{number}", seat=seat)
                self._held.own_first = True  # what the seat's last holder left behind is ours now
                logger.info("seat_taken", consumer=self.name)
                return
        raise RedisError(f"all {SEATS_MAX} seats are taken")

    async def _guarded(self, work: Callable[[], Awaitable[None]], who: str) -> bool:
        try:
            await work()
        except (RedisError, OSError) as error:
            REDIS.met(error, who)
            return False
        REDIS.over(who)
        return True
