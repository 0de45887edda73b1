"""The one web application: each sandboxed API under its prefix, the chat at `/`, faults at `/__sandbox`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from services.sandbox.context import Context

# A whole request: ten files of an album at the Bot API's 50 MB each is the largest honest one.
REQUEST_SIZE_MAX_BYTES = 520 * 1024 * 1024

RoutesOf = Callable[[Context], list[web.RouteDef]]


def every_module() -> dict[str, RoutesOf]:
    """What is mounted where."""
    # Imported here, so that a sandbox of one API (in its tests) does not need the others.
    from services.sandbox import chat, control, kie, openai, telegram, yookassa

    return {
        "/telegram": telegram.routes,
        "/kie": kie.routes,
        "/openai": openai.routes,
        "/yookassa": yookassa.routes,
        "/chat": chat.routes,
        "/__sandbox": control.routes,
        "": chat.page_routes,
    }


def build_app(ctx: Context, modules: dict[str, RoutesOf] | None = None) -> web.Application:
    """Assemble the application; `modules` maps prefix to routes, all of them unless a test wants fewer."""
    app = web.Application(client_max_size=REQUEST_SIZE_MAX_BYTES)
    for prefix, routes_of in (every_module() if modules is None else modules).items():
        app.add_routes([_under(prefix, route) for route in routes_of(ctx)])

    async def background(_: web.Application) -> AsyncIterator[None]:
        await ctx.start()
        yield
        await ctx.stop()

    app.cleanup_ctx.append(background)
    return app


def _under(prefix: str, route: web.RouteDef) -> web.RouteDef:
    return web.RouteDef(route.method, prefix + route.path, route.handler, route.kwargs)
