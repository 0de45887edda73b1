"""A process that stops itself (SIGSTOP) at a point of an append, and writes down what its callers hear."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import asyncpg

from ledger import commands as c
from ledger.log import batch_writer
from ledger.log.appender import Appender
from ledger.log.batch import Pending
from ledger.log.ledger import Ledger
from tests.support import fork_server
from tests.support.killed_writers import Diary, Line

_CALL: Final = b"CreditsCharged"
"""Holds the append, and nothing else that is sent."""

_Cut = Callable[[bytes], int | None]


def _whole(data: bytes) -> int | None:
    return len(data) if _CALL in data else None


def _half(data: bytes) -> int | None:
    return len(data) // 2 if _CALL in data else None


READING: Final = "reading a long answer"
POINTS: Final[dict[str, tuple[bool, _Cut | str | int]]] = {
    "decided, before it is sent": (False, "decide_batch"),
    "in the middle of the call": (False, _half),
    "sent, before the answer": (False, _whole),
    "asked for the lock, before the answer": (True, lambda data: len(data) if b"BEGIN" in data else None),
    "holding the lock, before deciding": (True, "decide_batch"),
    "holding the lock, in the middle of the call": (True, _half),
    "holding the lock, before the answer": (True, _whole),
    "commit sent, before the answer": (True, lambda data: len(data) if b"COMMIT" in data else None),
    READING: (False, 30_000),
}
"""Where it stops: whether it takes the lock first, as who was too late once does; and before which function,
or after how many bytes of what is sent to the server, or when so many bytes of an answer come at once."""


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
    careful, place = POINTS[point]
    if careful:
        Appender._launch = _settle_carefully  # type: ignore[method-assign]
    _stop_at(place, diary)
    async with pool, Ledger(database_url, pool) as ledger:

        async def ask(command: c.OrderVideos) -> None:
            try:
                receipt = await ledger.execute(command, key=key_of(command))
            except Exception as error:
                diary.note(Line(key_of(command), refused=repr(error)))
            else:
                diary.note(Line(key_of(command), receipt=receipt))

        await asyncio.gather(*(ask(order(number)) for number in range(commands)))


async def _settle_carefully(self: Appender, batch: list[Pending]) -> None:
    await self._writer.settle(batch, careful=True)


def _stop_at(place: "_Cut | str | int", diary: Diary) -> None:
    waiting = [place]

    def stop() -> None:
        waiting.clear()
        diary.note(STOPPED)
        os.kill(os.getpid(), signal.SIGSTOP)

    if isinstance(place, str):
        real = getattr(batch_writer, place)

        def stop_first(*arguments: Any) -> Any:
            if waiting:
                stop()
            return real(*arguments)

        setattr(batch_writer, place, stop_first)
        return

    enough = place if isinstance(place, int) else sys.maxsize
    cut: _Cut = (lambda _: None) if isinstance(place, int) else place
    protocols: Any = asyncpg.protocol

    class Protocol(protocols.Protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(_Cutting(transport, cut, waiting, stop))

        def data_received(self, data: bytes) -> None:
            if waiting and len(data) >= enough:
                stop()
            super().data_received(data)

    protocols.Protocol = Protocol


class _Cutting:
    """A transport that stops the process when it has written part of what it should."""

    def __init__(self, transport: Any, at: _Cut, waiting: list[Any], stop: Callable[[], None]) -> None:
        self._transport = transport
        self._at = at
        self._waiting = waiting
        self._stop = stop

    def write(self, data: bytes) -> None:
        at = self._at(bytes(data)) if self._waiting else None
        if at is None:
            self._transport.write(data)
            return
        self._transport.write(bytes(data)[:at])
        self._stop()
        self._transport.write(bytes(data)[at:])

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
