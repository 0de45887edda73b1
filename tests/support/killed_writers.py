"""Processes that only write to the ledger, killed, stopped and cut off, and the diaries that outlive them.

Each caller writes down what it is about to ask, asks, and writes down what it was told before it goes on: one
`write` per line, which no SIGKILL can take back. A writer that starts again asks once more, under the same
key, whatever its diary holds no answer to; so in the end every command has an answer.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncpg
import msgspec

from events.job import Failure
from ledger import commands as c
from ledger.errors import RejectedError
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from tests.support import fork_server
from tests.support.waiting import eventually

HOT = ("hot",)
"""The first two writers have this account alone, and all of it between them."""
SHARED = tuple(f"shared-{number}" for number in range(10))
"""The other two spend from all of them."""
CREDITS = dict.fromkeys(HOT, 1_000_000) | dict.fromkeys(SHARED, 100)
"""Those who share are always short of them, so that some are refused."""
WRITERS = 4
RIVALS = 2
CALLERS = 64
_CUT_ONE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'neurocards-appender' AND datname = current_database()
    ORDER BY random() LIMIT 1
"""
_BUSY = Failure("transient", "500")


Asked = c.OrderVideos | c.FailJob | c.GrantCredits


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stands in a diary: a question (one of the three), or an answer to one."""

    key: str
    order: c.OrderVideos | None = None
    fail: c.FailJob | None = None
    grant: c.GrantCredits | None = None
    receipt: Receipt | None = None
    refused: str = ""

    @property
    def command(self) -> Asked | None:
        return self.order or self.fail or self.grant


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

    def unanswered(self) -> dict[str, Asked]:
        asked: dict[str, Asked] = {}
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

    def __init__(
        self, ledger: Ledger, diary: Diary, name: str, dice: random.Random, accounts: Sequence[str]
    ) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self._diary = diary
        self._name = name
        self._dice = dice
        self._numbers = itertools.count(1)
        self._charged: list[tuple[str, str]] = []

    async def call(self, stop: asyncio.Event) -> None:
        """One caller: one command after another. Now and then it asks twice at once, as a double tap does."""
        while not stop.is_set():
            line = self._next()
            self._diary.note(line)
            key, command = line.key, line.command
            assert command is not None
            times = 2 if self._dice.random() < 0.1 else 1
            await asyncio.gather(*(self.ask(key, command) for _ in range(times)))

    async def ask(self, key: str, command: Asked) -> None:
        try:
            receipt = await self._ledger.execute(command, key=key)
        except RejectedError as error:
            self._diary.note(Line(key, refused=type(error).__name__))
            return
        self._diary.note(Line(key, receipt=receipt))
        if isinstance(command, c.OrderVideos):
            self._charged += [(job, command.account) for job in command.jobs]

    def _next(self) -> Line:
        name = f"{self._name}-{next(self._numbers)}"
        kind, account = self._dice.random(), self._dice.choice(self._accounts)
        if kind < 0.3 and self._charged:
            job, owner = self._charged.pop(self._dice.randrange(len(self._charged)))
            return Line(f"fail:{name}", fail=c.FailJob(job, owner, "operator", _BUSY))
        if kind < 0.35:
            grant = c.GrantCredits(account, self._dice.randint(1, 3), "manual", "storm")
            return Line(f"grant:{name}", grant=grant)
        jobs = tuple(f"{name}-{n}" for n in range(self._dice.randint(1, 3)))
        price = self._dice.randint(1, 4)
        order = c.OrderVideos(account, name, jobs, price, "m", "ugc", "p", "b", "ru", 900)
        return Line(f"order:{name}", order=order)


class WriterProcess:
    """One writer's lives, one after another."""

    def __init__(
        self, database_url: str, folder: Path, name: str, seed: int, accounts: Sequence[str]
    ) -> None:
        self._arguments = (database_url, folder / name, name, seed, accounts)
        self.name = name
        self.disturbed: list[tuple[int, int]] = []
        """When it was dead, stopped or cut off, from and to, in epoch microseconds."""
        self.diary = Diary(folder / name)
        self.lives = 0
        self._process: fork_server.Child | None = None

    def start(self) -> None:
        self.lives += 1
        url, path, name, seed, accounts = self._arguments
        self._process = fork_server.call(
            _write, url, path, f"{name}.{self.lives}", seed + self.lives, accounts
        )

    async def writes(self, size_bytes: int) -> None:
        """Until the diary has grown by so much."""
        enough = self.diary.size_bytes + size_bytes
        await eventually(lambda: self.diary.size_bytes >= enough, what=f"{self.name} goes on writing")

    @contextlib.asynccontextmanager
    async def being_disturbed(self) -> AsyncIterator[None]:
        """Until it writes as before."""
        began_us = time.time_ns() // 1000
        yield
        await self.writes(20_000)
        self.disturbed.append((began_us, time.time_ns() // 1000))

    def send(self, signum: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signum)

    async def end(self, signum: signal.Signals) -> int:
        """Its exit code; SIGTERM lets it finish what it has asked."""
        assert self._process is not None
        self.send(signum)
        return await asyncio.to_thread(self._process.wait, 60)


async def storm(database_url: str, folder: Path, *, seconds: float, seed: int) -> list[WriterProcess]:
    """Four writers for so long, and until as many were killed. Others are cut off, or stopped until all
    others have gone on without them. All get answers.
    """
    dice = random.Random(seed)
    writers = [
        WriterProcess(database_url, folder, f"w{n}", seed + 1000 * n, HOT if n < RIVALS else SHARED)
        for n in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        await writer.writes(1)
    end_at = time.monotonic() + seconds
    owner = await asyncpg.connect(database_url)
    while time.monotonic() < end_at or sum(writer.lives for writer in writers) <= 2 * WRITERS:
        victim = dice.choice(writers)
        await victim.writes(dice.randrange(40_000))
        strike = dice.random()
        async with contextlib.AsyncExitStack() as disturbed:
            for writer in writers if strike < 0.4 else [victim]:  # nobody knows whom a cut hits
                await disturbed.enter_async_context(writer.being_disturbed())
            if strike < 0.4:
                await owner.execute(_CUT_ONE)
            elif strike < 0.6:
                victim.send(signal.SIGSTOP)
                for other in writers:
                    if other is not victim:
                        await other.writes(dice.randrange(20_000))
                victim.send(signal.SIGCONT)
            else:
                assert await victim.end(signal.SIGKILL) == -signal.SIGKILL
                victim.start()
    await owner.close()
    for writer in writers:
        await writer.writes(1)
        assert await writer.end(signal.SIGTERM) == 0, writer.name
    return writers


def _write(database_url: str, path: Path, name: str, seed: int, accounts: Sequence[str]) -> None:
    asyncio.run(_live(database_url, path, name, seed, accounts))


async def _live(database_url: str, path: Path, name: str, seed: int, accounts: Sequence[str]) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    diary = Diary(path)
    pool = asyncpg.create_pool(database_url, min_size=0, server_settings={"role": "neurocards_app"})
    async with contextlib.AsyncExitStack() as stack:
        ledger = await _opened(stack, Ledger(database_url, await stack.enter_async_context(pool)))
        writer = Writer(ledger, diary, name, random.Random(seed), accounts)
        await asyncio.gather(*(writer.ask(*again) for again in diary.unanswered().items()))
        await asyncio.gather(*(writer.call(stop) for _ in range(CALLERS)))


async def _opened(stack: contextlib.AsyncExitStack, ledger: Ledger) -> Ledger:
    """Whoever is cut off while it connects for the first time ends, and is started again; here at once."""
    while True:
        try:
            return await stack.enter_async_context(ledger)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            await asyncio.sleep(0.05)
