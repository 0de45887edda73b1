"""A process on the real runtime that behaves as its argument says."""

import asyncio
import sys
import time

import structlog

from services.platform import watchdog
from services.platform.errors import SettingsError, StartError
from services.platform.process import Runtime, run_service
from services.platform.settings import Settings, load_settings

logger = structlog.get_logger()


async def serve(settings: Settings) -> None:
    mode = sys.argv[1]
    async with Runtime(settings, "fake") as runtime:
        runtime.health.check("nothing", lambda: asyncio.sleep(0))
        match mode:
            case "good":
                runtime.spawn(runtime.stop.wait(), "waiting")
            case "warns":
                logger.warning("something_odd", detail=7)
            case "task-fails":
                runtime.spawn(_fail(), "doomed")
            case "task-ends":
                runtime.spawn(asyncio.sleep(0.01), "short")
            case "task-may-end":
                runtime.spawn(asyncio.sleep(0.01), "short", may_end=True)
            case "task-hangs":
                runtime.spawn(asyncio.sleep(3600), "hanging")
            case "loop-hangs":
                asyncio.get_running_loop().call_later(0.3, time.sleep, 3600)
            case "watched" | "loop-stalls":
                watchdog.TICK_S = 0.05
                if mode == "loop-stalls":
                    asyncio.get_running_loop().call_later(0.3, _stall)
            case "unhealthy":
                runtime.health.check("broken", _fail)
            case "settings":
                raise SettingsError(["SOME_SETTING: is not right"])
            case "cannot-start":
                raise StartError("the thing is missing: install it")
            case "never-ready":
                await asyncio.sleep(3600)
        runtime.ready()
        await runtime.wait()
        logger.info("waited")
        if mode == "stop-hangs":
            _hang()


def _stall() -> None:
    time.sleep(3600)


def _hang() -> None:
    time.sleep(3600)


async def _fail() -> None:
    await asyncio.sleep(0)
    raise ValueError("a fault on purpose")


if __name__ == "__main__":
    sys.exit(run_service(serve, load_settings(), "fake"))
