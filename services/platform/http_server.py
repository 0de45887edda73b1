"""HTTP servers with limited connections.

aiohttp closes a connection whose next request is not complete within `keepalive_timeout`, however slowly it
comes; it does not count connections. A process that holds as many as it may have files open does nothing any
more, so a new connection takes the place of the one silent longest. Requests being answered keep theirs.
"""

import resource
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from services.platform.metrics import HTTP_DROPPED

SILENCE_S: Final = 75.0
"""Longer than a proxy of ours, or whoever scrapes metrics, keeps a connection for its next request."""


class LimitedRunner(web.AppRunner):
    """AppRunner with at most `most` connections, `per_peer` from one address.

    0: any. `most` is at most half of the files the process may have open.
    """

    __slots__ = ("_at_work", "_most", "_open", "_per_peer")

    def __init__(
        self,
        app: web.Application,
        *,
        most: int,
        per_peer: int = 0,
        silence_s: float = SILENCE_S,
        shutdown_s: float = 1.0,
    ) -> None:
        app.middlewares.insert(0, self._working)
        super().__init__(app, access_log=None, keepalive_timeout=silence_s, shutdown_timeout=shutdown_s)
        self._most = min(most, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)
        self._per_peer = per_peer
        self._open: dict[web.RequestHandler, str] = {}  # by when they fell silent; with their peers
        self._at_work: set[web.RequestHandler] = set()

    async def setup(self) -> None:
        await super().setup()
        server: Any = self.server
        made, lost = server.connection_made, server.connection_lost

        def connection_made(connection: web.RequestHandler, transport: Any) -> None:
            made(connection, transport)
            peer = transport.get_extra_info("peername")
            self._admit(connection, str(peer[0]) if peer else "")

        def connection_lost(connection: web.RequestHandler, error: BaseException | None = None) -> None:
            self._open.pop(connection, None)
            lost(connection, error)

        server.connection_made, server.connection_lost = connection_made, connection_lost

    def _admit(self, connection: web.RequestHandler, peer: str) -> None:
        """Accept it, in place of a silent one if full; else refuse."""
        crowd = [other for other, whose in self._open.items() if whose == peer]
        if not self._per_peer or len(crowd) < self._per_peer:
            crowd = list(self._open) if len(self._open) >= self._most else []
        if crowd:
            silent = next((other for other in crowd if other not in self._at_work), connection)
            HTTP_DROPPED.labels("refused" if silent is connection else "silent").inc()
            self._open.pop(silent, None)
            silent.force_close()
            if silent is connection:
                return
        self._open[connection] = peer

    @web.middleware
    async def _working(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        self._at_work.add(connection)
        try:
            return await handler(request)
        finally:
            self._at_work.discard(connection)
            if connection in self._open:  # behind those that have been silent for longer
                self._open[connection] = self._open.pop(connection)
