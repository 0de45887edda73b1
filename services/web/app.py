"""The web application: routes, limits, and what is around every request."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from services.platform.health import Health, health_routes
from services.platform.http_server import SILENCE_S, LimitedRunner
from services.web.middleware import Access, add_headers, hide_errors

PUBLIC_HEALTH: Final = frozenset({"/health/live", "/health/ready"})
BODY_BYTES_MAX: Final = 256 * 1024
"""A callback repeats the task's whole input, a prompt of up to 20,000 characters included."""
CONNECTIONS_MAX: Final = 512
PEER_CONNECTIONS_MAX: Final = 64
"""Of one address, where no proxy of ours stands before us: behind one, all come from there."""
HEADER_S_MAX: Final = 15.0
SHUTDOWN_S: Final = 5.0


def build_app(health: Health, routes: Iterable[web.RouteDef]) -> web.Application:
    """An application with `routes` and whether we live; all else stays on the process's own health server."""
    access = Access()
    health.tell({"requests_in_flight": lambda: dict(access.in_flight)})
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[access.log, hide_errors])
    app.add_routes([route for route in health_routes(health) if route.path in PUBLIC_HEALTH])
    app.add_routes(routes)
    app.on_response_prepare.append(add_headers)
    return app


def build_runner(app: web.Application, *, proxied: bool) -> LimitedRunner:
    """What serves it. A proxy has read a request's header before it connects, and keeps connections."""
    return LimitedRunner(
        app,
        most=CONNECTIONS_MAX,
        per_peer=0 if proxied else PEER_CONNECTIONS_MAX,
        silence_s=SILENCE_S if proxied else HEADER_S_MAX,
        shutdown_s=SHUTDOWN_S,
    )
