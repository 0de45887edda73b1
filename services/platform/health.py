"""HTTP health server of every process: liveness, readiness, status, metrics.

GET /health/live    200 while the process's loop turns
GET /health/ready   200 when the process has started and every check passes; else 503 and which failed
GET /health/status  JSON of what the process is doing: facts it has in memory, nothing personal
GET /metrics        Prometheus text (docs/observability.md)
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import prometheus_client
from aiohttp import web

from services.platform.http_server import LimitedRunner

Check = Callable[[], Awaitable[object]]
"""Raises when the process cannot do its work, e.g. `pool.fetchval("SELECT 1")`."""

Fact = Callable[[], Any]
"""Tells something that fits into JSON, at once and out of memory; no names of people, no texts."""

CONNECTIONS_MAX = 64
_CHECK_TIMEOUT_S = 2.0
_METRICS_HEADERS = {"Content-Type": prometheus_client.CONTENT_TYPE_LATEST}


class Health:
    def __init__(self) -> None:
        self.started = False
        self._checks: dict[str, Check] = {}
        self._facts: dict[str, Fact] = {}

    def check(self, name: str, check: Check) -> None:
        """Run `check` at every /health/ready; it has two seconds."""
        self._checks[name] = check

    def tell(self, facts: Mapping[str, Fact]) -> None:
        self._facts |= facts

    def status(self) -> dict[str, Any]:
        return {name: fact() for name, fact in self._facts.items()}

    async def report(self) -> dict[str, str]:
        found = await asyncio.gather(*(self._ask(check) for check in self._checks.values()))
        started = {"started": "ok" if self.started else "still starting"}
        return started | dict(zip(self._checks, found, strict=True))

    async def _ask(self, check: Check) -> str:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                await check()
        except TimeoutError:
            return f"no answer within {_CHECK_TIMEOUT_S:g} s"
        except Exception as error:  # whatever is wrong is the answer
            return type(error).__name__
        return "ok"


@asynccontextmanager
async def serve_health(health: Health, host: str, port: int) -> AsyncIterator[str]:
    """Run the server; its address, `http://host:port`. Raises OSError."""
    app = web.Application()
    app.add_routes(health_routes(health))
    runner = LimitedRunner(app, most=CONNECTIONS_MAX)
    try:
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        yield address_of(runner)
    finally:
        await runner.cleanup()


def health_routes(health: Health) -> list[web.RouteDef]:
    """The health routes, also for a process's own HTTP server."""

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"live": "ok"})

    async def ready(request: web.Request) -> web.Response:
        report = await health.report()
        good = all(state == "ok" for state in report.values())
        return web.json_response(report, status=200 if good else 503)

    async def status(request: web.Request) -> web.Response:
        return web.json_response(health.status())

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=prometheus_client.generate_latest(), headers=_METRICS_HEADERS)

    return [
        web.get("/health/live", live),
        web.get("/health/ready", ready),
        web.get("/health/status", status),
        web.get("/metrics", metrics),
    ]


def address_of(runner: web.AppRunner) -> str:
    """Address of a started server, also when port 0 was given."""
    host, port = (str(part) for part in runner.addresses[0][:2])
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
