"""Writers in processes of their own, to ask at once, and to kill in the middle of it."""

import asyncio
import os
from collections.abc import Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection

from ledger.commands import Command
from ledger.log import clock
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support import fork_server

Asked = tuple[Command, str]
"""A command and its key."""
Answer = tuple[str, Receipt | str]
"""The key, and the receipt or the name of the error."""


class Writer:
    """A process that appends what it is asked to, all of it at once. Ends with this one.

    `still`: between two answers of the database no time passes, as the test turns its clock.
    """

    def __init__(self, database_url: str, *, still: bool = False) -> None:
        self._database_url = database_url
        self._still = still
        self.start()

    def start(self) -> None:
        """Begin; again, once it was killed."""
        self._ours, theirs = Pipe()
        self._process = fork_server.call(_main, self._database_url, self._still, pipe=theirs)
        theirs.close()
        assert self._ours.recv() == "ready"

    def ask(self, asked: Sequence[Asked]) -> None:
        """Send commands without waiting for their answers."""
        self._ours.send(list(asked))

    def answers(self, count: int) -> list[Answer]:
        """So many answers, or as many as there are when the process has died."""
        found: list[Answer] = []
        while len(found) < count:
            try:
                found.append(self._ours.recv())
            except (EOFError, ConnectionResetError):
                break
        return found

    def kill(self) -> None:
        """As the kernel would, with nothing tidied up. Answers that were sent can still be read."""
        self._process.kill()
        self._process.wait(60)

    def close(self) -> None:
        self.kill()
        self._ours.close()


def stand_still() -> int:
    return 0


def _main(database_url: str, still: bool, pipe: Connection) -> None:
    if still:
        clock.uptime_us = stand_still
    asyncio.run(_serve(database_url, pipe))


async def _serve(database_url: str, pipe: Connection) -> None:
    settings = load_settings(database_url=database_url)
    loop = asyncio.get_running_loop()
    waiting: set[asyncio.Task[None]] = set()
    async with (
        await create_pool(settings, "writer", max_size=1) as pool,
        Ledger(database_url, pool) as ledger,
    ):
        pipe.send("ready")
        while True:
            try:
                asked: list[Asked] = await loop.run_in_executor(None, pipe.recv)
            except (EOFError, OSError):
                os._exit(0)
            for command, key in asked:
                task = asyncio.create_task(_answer(ledger, command, key, pipe))
                waiting.add(task)
                task.add_done_callback(waiting.discard)


async def _answer(ledger: Ledger, command: Command, key: str, pipe: Connection) -> None:
    try:
        answer: Receipt | str = await ledger.execute(command, key=key)
    except Exception as error:
        answer = type(error).__name__
    pipe.send((key, answer))
