"""A process that stops itself (SIGSTOP) at a point of an append, and writes down what its callers hear."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from ledger import commands as c
from ledger.log.batch import BatchDecider
from ledger.log.ledger import Ledger
from ledger.log.pg_pipeline import PipelinedConnection, execute
from tests.support import fork_server
from tests.support.killed_writers import Diary, Line

_COMMIT: Final = execute("COMMIT")
_BEGIN: Final = execute("BEGIN")

POINTS: Final = {
    "asked for the lock, before the answer": lambda data: len(data) if data.startswith(_BEGIN) else None,
    "holding the lock, before deciding": None,
    "in the middle of the insert": lambda data: len(data) // 2 if _COMMIT in data else None,
    "inserted, before the commit is sent": lambda data: data.index(_COMMIT) if _COMMIT in data else None,
    "commit sent, before the answer": lambda data: len(data) if _COMMIT in data else None,
}
"""Where in what is sent to the server it stops: after how many bytes of which message."""


def order(number: int) -> c.OrderVideos:
    return c.OrderVideos("a", f"frozen-{number}", (f"frozen-{number}",), 1, "m", "ugc", "p", "b", "ru", 900)


def key_of(command: c.OrderVideos) -> str:
    return f"order:{command.order}"


STOPPED: Final = Line("stopped")
"""Written into the diary right before it stops."""


def stopping_process(database_url: str, diary: Path, point: str, commands: int) -> fork_server.Child:
    """Start it: so many callers at once on account `a`. Once woken it ends when all have their answers."""
    return fork_server.call(_main, database_url, diary, point, commands)


def _main(database_url: str, path: Path, point: str, commands: int) -> None:
    asyncio.run(_append(database_url, Diary(path), point, commands))


async def _append(database_url: str, diary: Diary, point: str, commands: int) -> None:
    pool = asyncpg.create_pool(database_url, min_size=0, server_settings={"role": "neurocards_app"})
    async with pool, Ledger(database_url, pool) as ledger:
        _stop_at(point, diary)

        async def ask(command: c.OrderVideos) -> None:
            try:
                receipt = await ledger.execute(command, key=key_of(command))
            except Exception as error:
                diary.note(Line(key_of(command), refused=repr(error)))
            else:
                diary.note(Line(key_of(command), receipt=receipt))

        await asyncio.gather(*(ask(order(number)) for number in range(commands)))


def _stop_at(point: str, diary: Diary) -> None:
    waiting = [point]

    def stop() -> None:
        waiting.clear()
        diary.note(STOPPED)
        os.kill(os.getpid(), signal.SIGSTOP)

    cut: Callable[[bytes], int | None] | None = POINTS[point]
    if cut is None:
        decide_all = BatchDecider.decide_all

        def stop_and_decide(*arguments: Any) -> Any:
            if waiting:
                stop()
            return decide_all(*arguments)

        BatchDecider.decide_all = stop_and_decide  # type: ignore[method-assign, assignment]
        return

    ask, at = PipelinedConnection.ask, cut

    def ask_and_stop(wire: PipelinedConnection, *messages: bytes) -> Any:
        transport = wire._transport
        wire._transport = _Cutting(transport, at, waiting, stop)  # type: ignore[assignment]
        try:
            return ask(wire, *messages)
        finally:
            wire._transport = transport

    PipelinedConnection.ask = ask_and_stop  # type: ignore[method-assign, assignment]


class _Cutting:
    """A transport that stops the process when it has written part of what it should."""

    def __init__(
        self, transport: Any, at: Callable[[bytes], int | None], waiting: list[str], stop: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._at = at
        self._waiting = waiting
        self._stop = stop

    def write(self, data: bytes) -> None:
        at = self._at(data) if self._waiting else None
        if at is None:
            self._transport.write(data)
            return
        self._transport.write(data[:at])
        self._stop()
        self._transport.write(data[at:])

    def is_closing(self) -> bool:
        return bool(self._transport.is_closing())
