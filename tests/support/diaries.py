"""Processes that only write to the ledger, killed again and again, and the diaries that outlive them.

Each caller writes down what it is about to ask, asks, and writes down what it was told before it goes on: one
`write` per line, which no SIGKILL can take back. A writer that starts again asks once more, under the same
key, whatever its diary holds no answer to; so in the end every command has an answer.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import asyncpg
import msgspec

from events.job import Failure
from ledger import commands as c
from ledger.errors import Rejected
from ledger.log import Ledger
from ledger.receipt import Receipt
from tests.support.waiting import eventually

ACCOUNTS = tuple(f"shared-{number}" for number in range(10))
"""Every writer spends from all of them."""
CREDITS = 100
WRITERS = 4
CALLERS = 64
_BUSY = Failure("transient", "500", "busy")
_context = multiprocessing.get_context("forkserver")


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands in a diary: a question (with its command), or an answer to one."""

    key: str
    command: c.Command | None = None
    receipt: Receipt | None = None
    refused: str = ""


class Diary:
    """Lines of one writer, over all of its lives."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_RDWR, 0o600)
        self.path = path

    def note(self, line: Line) -> None:
        os.write(self._fd, msgspec.json.encode(line) + b"\n")

    def lines(self) -> Iterator[Line]:
        """All but one that a kill has cut short."""
        with self.path.open("rb") as file:
            for line in file:
                with contextlib.suppress(msgspec.DecodeError):
                    yield msgspec.json.decode(line, type=Line)

    def unanswered(self) -> dict[str, c.Command]:
        asked: dict[str, c.Command] = {}
        for line in self.lines():
            if line.command is not None:
                asked[line.key] = line.command
            else:
                asked.pop(line.key, None)
        return asked

    @property
    def size_bytes(self) -> int:
        return os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)


class Writer:
    """Many callers in one process."""

    def __init__(self, ledger: Ledger, diary: Diary, name: str, dice: random.Random) -> None:
        self._ledger = ledger
        self._diary = diary
        self._name = name
        self._dice = dice
        self._numbers = itertools.count(1)
        self._charged: list[tuple[str, str]] = []

    async def call(self, stop: asyncio.Event) -> None:
        """One caller: one command after another. Now and then it asks twice at once, as a double tap does."""
        while not stop.is_set():
            key, command = self._next()
            times = 2 if self._dice.random() < 0.1 else 1
            self._diary.note(Line(key, command))
            await asyncio.gather(*(self.ask(key, command) for _ in range(times)))

    async def ask(self, key: str, command: c.Command) -> None:
        try:
            receipt = await self._ledger.execute(command, key=key)
        except Rejected as error:
            self._diary.note(Line(key, refused=type(error).__name__))
            return
        self._diary.note(Line(key, receipt=receipt))
        if isinstance(command, c.OrderVideos):
            self._charged += [(job, command.account) for job in command.jobs]

    def _next(self) -> tuple[str, c.Command]:
        name = f"{self._name}-{next(self._numbers)}"
        kind, account = self._dice.random(), self._dice.choice(ACCOUNTS)
        if kind < 0.3 and self._charged:
            job, owner = self._charged.pop(self._dice.randrange(len(self._charged)))
            return f"fail:{name}", c.FailJob(job, owner, "operator", _BUSY)
        if kind < 0.35:
            return f"grant:{name}", c.GrantCredits(account, self._dice.randint(1, 3), "promo", "storm")
        jobs = tuple(f"{name}-{n}" for n in range(self._dice.randint(1, 3)))
        price = self._dice.randint(1, 4)
        return f"order:{name}", c.OrderVideos(account, name, jobs, price, "m", "ugc", "p", "b", "ru", 900)


class WriterProcess:
    """One writer's lives, one after another."""

    def __init__(self, database_url: str, folder: Path, name: str, seed: int) -> None:
        self._arguments = (database_url, folder / name, name, seed)
        self.name = name
        self.diary = Diary(folder / name)
        self.lives = 0
        self._process: BaseProcess | None = None

    def start(self) -> None:
        self.lives += 1
        url, path, name, seed = self._arguments
        self._process = _context.Process(
            target=_write, args=(url, path, f"{name}.{self.lives}", seed + self.lives), daemon=True
        )
        self._process.start()

    async def writes(self, size_bytes: int) -> None:
        """Until the diary has grown by so much."""
        enough = self.diary.size_bytes + size_bytes
        await eventually(lambda: self.diary.size_bytes >= enough, 30, what=f"{self.name} goes on writing")

    async def end(self, signum: signal.Signals) -> int | None:
        """Its exit code; SIGTERM lets it finish what it has asked."""
        assert self._process is not None and self._process.pid is not None
        os.kill(self._process.pid, signum)
        await asyncio.to_thread(self._process.join, 30)
        return self._process.exitcode


async def storm(database_url: str, folder: Path, *, seconds: float, seed: int) -> list[WriterProcess]:
    """Four writers for so long, one killed every now and then; at the end all have their answers."""
    dice = random.Random(seed)
    writers = [WriterProcess(database_url, folder, f"w{n}", seed + 1000 * n) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        await writer.writes(1)
    end_at = time.monotonic() + seconds
    while time.monotonic() < end_at:
        victim = dice.choice(writers)
        await victim.writes(dice.randrange(100_000))
        assert await victim.end(signal.SIGKILL) == -signal.SIGKILL
        victim.start()
    for writer in writers:
        await writer.writes(1)
        assert await writer.end(signal.SIGTERM) == 0, writer.name
    return writers


def _write(database_url: str, path: Path, name: str, seed: int) -> None:
    asyncio.run(_live(database_url, path, name, seed))


async def _live(database_url: str, path: Path, name: str, seed: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    diary = Diary(path)
    pool = asyncpg.create_pool(database_url, min_size=0, server_settings={"role": "neurocards_app"})
    async with pool, Ledger(database_url, pool) as ledger:
        writer = Writer(ledger, diary, name, random.Random(seed))
        await asyncio.gather(*(writer.ask(*again) for again in diary.unanswered().items()))
        await asyncio.gather(*(writer.call(stop) for _ in range(CALLERS)))
