"""The web application: routes, limits, and what is around every request."""

from collections.abc import Iterable
from typing import Final

from aiohttp import web

from services.shared.health import Health, health_routes
from services.web.middleware import add_headers, hide_errors, log_access

BODY_BYTES_MAX: Final = 256 * 1024
"""A callback repeats the task's whole input, a prompt of up to 20,000 characters included."""


def build_app(health: Health, routes: Iterable[web.RouteDef]) -> web.Application:
    """An application with `routes` and /health; metrics stay on the process's own health server."""
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[log_access, hide_errors])
    app.add_routes([route for route in health_routes(health) if route.path.startswith("/health/")])
    app.add_routes(routes)
    app.on_response_prepare.append(add_headers)
    return app
