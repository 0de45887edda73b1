"""The web application: routes, limits, and what is around every request."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from services.shared.health import Health, health_routes
from services.web.middleware import Access, add_headers, hide_errors

PUBLIC_HEALTH: Final = frozenset({"/health/live", "/health/ready"})
BODY_BYTES_MAX: Final = 256 * 1024
"""A callback repeats the task's whole input, a prompt of up to 20,000 characters included."""


def build_app(health: Health, routes: Iterable[web.RouteDef]) -> web.Application:
    """An application with `routes` and whether we live; all else stays on the process's own health server."""
    access = Access()
    health.tell({"requests_in_flight": lambda: dict(access.in_flight)})
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[access.log, hide_errors])
    app.add_routes([route for route in health_routes(health) if route.path in PUBLIC_HEALTH])
    app.add_routes(routes)
    app.on_response_prepare.append(add_headers)
    return app
