"""Hints that something has changed: server-sent, a topic's name each, from one poll for all browsers.

A hint says what to fetch again and nothing else, so that losing one costs a moment and no truth.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from ledger.postgres import DATABASE_ERRORS, Pool
from ledger.sql import load_queries
from services.dashboard.routes import Route
from services.dashboard.visit import Authenticate, Visit

query = load_queries("services.dashboard")

POLL_S: Final = 2.0
SESSION_S: Final = 15.0
"""So often it is asked whether who listens may still do so."""
STREAMS_MAX: Final = 64
STREAMS_OF_USER_MAX: Final = 6
_HEADERS: Final = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


class Listener:
    """One browser page. `woken` after each poll; `topics` have changed since it looked."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.topics: set[str] = set()
        self.woken = asyncio.Event()


class Hints:
    """Everybody who listens. It polls while somebody does."""

    def __init__(self, pool: Pool, authenticate: Authenticate) -> None:
        self.authenticate = authenticate
        self.closed = False
        self._pool = pool
        self.listeners: set[Listener] = set()
        self._polling: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def listen(self, user: str) -> Iterator[Listener]:
        """Raises HTTPServiceUnavailable when too many listen, or too many of this user."""
        users = Counter(listener.user for listener in self.listeners)
        if len(self.listeners) >= STREAMS_MAX or users[user] >= STREAMS_OF_USER_MAX or self.closed:
            raise web.HTTPServiceUnavailable(text="too many pages follow; this one does not")
        listener = Listener(user)
        self.listeners.add(listener)
        self._polling = self._polling or asyncio.create_task(self._poll())
        try:
            yield listener
        finally:
            self.listeners.discard(listener)

    async def close(self) -> None:
        self.closed = True
        for listener in self.listeners:
            listener.woken.set()

    async def _poll(self) -> None:
        seen: dict[str, int] = {}
        while self.listeners:
            with contextlib.suppress(*DATABASE_ERRORS):  # it is asked again, and pages say that it is away
                found = {topic: at for topic, at in await self._pool.fetch(query("topics"))}
                changed = {topic for topic, at in found.items() if seen and seen.get(topic) != at}
                seen = found
                for listener in self.listeners:
                    listener.topics |= changed
            for listener in self.listeners:
                listener.woken.set()
            await asyncio.sleep(POLL_S)
        self._polling = None


HINTS: Final = web.AppKey("hints", Hints)


async def live(visit: Visit) -> web.StreamResponse:
    """Hints, until session, page or process ends, or the database is away."""
    hints, response = visit.request.app[HINTS], web.StreamResponse(headers=_HEADERS)
    with hints.listen(visit.user.id) as listener, contextlib.suppress(*DATABASE_ERRORS):
        await response.prepare(visit.request)
        await response.write(b"retry: 3000\n\n")
        allowed_until = time.monotonic() + SESSION_S
        while not hints.closed and visit.request.transport is not None:
            if time.monotonic() > allowed_until:
                if await hints.authenticate(visit.request) is None:
                    break
                allowed_until = time.monotonic() + SESSION_S
            topics, listener.topics = listener.topics, set()
            await response.write("".join(f"data: {topic}\n\n" for topic in topics).encode() or b":\n\n")
            await listener.woken.wait()
            listener.woken.clear()
    return response


ROUTES = (Route("GET", "/live", live),)
