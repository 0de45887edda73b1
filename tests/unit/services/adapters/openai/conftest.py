"""OpenAI's sandbox over real HTTP, with the real SDK before it."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web

from services.platform.settings import Settings, load_settings
from services.sandbox import control, openai
from services.sandbox.app import Context
from tests.support.outside import Outside, outside


class Calls(list[str]):
    """The paths OpenAI was asked under, in order."""


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def sandbox(calls: Calls) -> AsyncIterator[Outside]:
    def counted(ctx: Context) -> list[web.RouteDef]:
        return [_counting(route, calls) for route in openai.routes(ctx)]

    async with outside({"/openai": counted, "/__sandbox": control.routes}) as running:
        yield running


def _counting(route: web.RouteDef, calls: Calls) -> web.RouteDef:
    handler: Callable[[web.Request], object] = route.handler

    async def count(request: web.Request) -> web.StreamResponse:
        calls.append(request.path.removeprefix("/openai/v1/"))
        answer = handler(request)
        return await answer  # type: ignore[misc, no-any-return]

    return web.RouteDef(route.method, route.path, count, route.kwargs)


@pytest.fixture
def settings(sandbox: Outside) -> Settings:
    return load_settings(sandbox_url=sandbox.url, openai_timeout_seconds=30)
