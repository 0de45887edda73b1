"""Charges of several revisions in turn, with what they cost the processors, beside peers.

    python -m tests.bench.revisions before=FOLDER now=. [--place memory] [--rounds 5] [--seconds 2]

Each folder is a checkout with its own `.venv` and gets a Postgres of its own, whose data lie on a disk
or in memory, where `fsync` costs nothing. A cell is `videos x callers`, and `x processes`. Who is first
changes with each round; ratios are medians of the rounds' own ratios to the revision named first. Peers
run on the server of the last.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import asyncpg
import msgspec
import uvloop

from tests.bench.figures import show
from tests.bench.load import cpu_s
from tests.bench.peers.ledgers import EventSourced, PlainLedger, copy_per_s
from tests.bench.writer import Report

CELLS = "1x64,1x8,1x1,5x64,5x8,5x1,1x512,1x64x4"
CALLERS = 64
EVENTS_PER_CHARGE = 2

_SERVE = """
import asyncio, json, os, sys, tempfile
from pathlib import Path
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # for the log of migrations
from services.local.postgres import EmbeddedPostgres
from tests.support import servers
with servers.short_folder() as memory, tempfile.TemporaryDirectory() as disk:
    Path(disk).chmod(0o711)
    data = (memory if sys.argv[1] == "memory" else Path(disk)) / "data"
    server = EmbeddedPostgres(data, memory, Path(disk) / "postgres.log", durable=True)
    server.start()
    try:
        if hasattr(servers, "migrated"):
            asyncio.run(servers.migrated(server))
            url = server.url(user="neurocards_bot")
        else:  # there were no logins yet
            from services.migrations import migrate
            asyncio.run(migrate(server.url()))
            url = server.url()
        pid = int((data / "postmaster.pid").read_text().split()[0])
        print(json.dumps([pid, url, server.url()]), file=answers, flush=True)
        sys.stdin.readline()
    finally:
        server.stop()
"""

Process = subprocess.Popen[bytes]


class Measure(msgspec.Struct):
    """Of one round: how many per second, CPU time of one in µs, rows per batch (0: not counted)."""

    per_s: float
    client_us: float
    server_us: float
    rows_a_batch: float = 0
    p50_ms: float = 0
    p99_ms: float = 0

    @property
    def cpu_us(self) -> float:
        return self.client_us + self.server_us


class Revision:
    """A checkout with its server, and with its writers for each cell."""

    def __init__(self, folder: Path, seconds: float, place: str, stack: ExitStack) -> None:
        self._folder = folder
        self._seconds = seconds
        self._stack = stack
        self._writers: dict[str, list[Process]] = {}
        answer = _line(stack.enter_context(self._process("-c", _SERVE, place)))
        self.pid, self._url, self.owner_url = msgspec.json.decode(answer, type=tuple[int, str, str])

    def open(self, cell: str) -> None:
        videos, callers, *processes = map(int, cell.split("x"))
        task = {"url": self._url, "seconds": self._seconds, "callers": callers, "videos": videos}
        command = ("-m", "tests.bench.writer", msgspec.json.encode(task).decode())
        count = processes[0] if processes else 1
        self._writers[cell] = [self._stack.enter_context(self._process(*command)) for _ in range(count)]
        for writer in self._writers[cell]:
            _line(writer)

    def run(self, cell: str) -> Measure:
        """Per second: charges. CPU time: of one row."""
        head, before_s = uvloop.run(_head(self.owner_url)), cpu_s(self.pid)
        for writer in self._writers[cell]:
            assert writer.stdin is not None
            writer.stdin.write(b"\n")
            writer.stdin.flush()
        reports = [msgspec.json.decode(_line(writer), type=Report) for writer in self._writers[cell]]
        server_s = cpu_s(self.pid) - before_s
        rows, batches = uvloop.run(_since(self.owner_url, head))
        videos, orders_per_s = int(cell.split("x", maxsplit=1)[0]), sum(report.per_s for report in reports)
        client_us = sum(report.cpu_us * report.per_s for report in reports) / orders_per_s
        return Measure(
            orders_per_s * videos,
            client_us / videos / EVENTS_PER_CHARGE,
            server_s * 1e6 / rows,
            rows / batches,
            median(report.p50_ms for report in reports),
            max(report.p99_ms for report in reports),
        )

    @contextmanager
    def _process(self, *arguments: str) -> Iterator[Process]:
        python = self._folder / ".venv/bin/python"
        process = subprocess.Popen(
            [python, *arguments], cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(60)


def _line(process: Process) -> bytes:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"ended with {process.wait(30)}")
    return line


async def _head(url: str) -> int:
    return int((await _row(url, "SELECT coalesce(max(position), 0) FROM events"))[0])


async def _since(url: str, head: int) -> tuple[int, int]:
    """Rows after a position, and batches: what was appended together has one transaction."""
    counted = "SELECT count(*), count(DISTINCT xmin::text) FROM events WHERE position > $1"
    rows, batches = await _row(url, counted, head)
    return rows, batches


async def _row(url: str, sql: str, *values: int) -> "asyncpg.Record":
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(sql, *values)
        assert row is not None
        return row
    finally:
        await connection.close()


class Peers:
    """What else charges on that server; CPU time: of one charge, of COPY of one row."""

    def __init__(self, revision: Revision, seconds: float) -> None:
        self._pid, self._url, self._seconds = revision.pid, revision.owner_url, seconds
        self._library = EventSourced(self._url, CALLERS)

    def run(self) -> dict[str, Measure]:
        return {
            "COPY, rows": self._measured(lambda: uvloop.run(copy_per_s(self._url)), self._copied),
            f"plain SQL, {CALLERS} callers": self._measured(lambda: uvloop.run(self._plain())),
            f"eventsourcing, {CALLERS} callers": self._measured(
                lambda: self._library.measure(CALLERS, self._seconds).per_s
            ),
        }

    def close(self) -> None:
        self._library.close()

    def _measured(self, work: Callable[[], float], count: Callable[[float], float] | None = None) -> Measure:
        own_s, server_s = time.process_time(), cpu_s(self._pid)
        per_s = work()
        done = count(per_s) if count else per_s * self._seconds
        own_s, server_s = time.process_time() - own_s, cpu_s(self._pid) - server_s
        return Measure(per_s, own_s * 1e6 / done, server_s * 1e6 / done)

    def _copied(self, _: float) -> float:
        return min(uvloop.run(_head(self._url)), 200_000)

    async def _plain(self) -> float:
        async with asyncpg.create_pool(self._url, min_size=CALLERS, max_size=CALLERS) as pool:
            await pool.execute("DROP TABLE IF EXISTS plain_balances, plain_entries")
            ledger = PlainLedger(pool)
            await ledger.open(CALLERS)
            return (await ledger.measure(CALLERS, self._seconds)).per_s


def _spread(values: Sequence[float], form: str = ",.0f") -> str:
    return f"{median(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def _row_of(name: str, found: Sequence[Measure], first: Sequence[Measure]) -> tuple[str, ...]:
    pairs = list(zip(found, first, strict=True))
    return (
        name,
        _spread([one.per_s for one in found]),
        _spread([one.per_s / base.per_s for one, base in pairs], ".2f"),
        _spread([one.client_us for one in found], ".1f"),
        _spread([one.server_us for one in found], ".1f"),
        _spread([one.cpu_us / base.cpu_us for one, base in pairs], ".2f"),
        f"{median(one.rows_a_batch for one in found):.0f}",
        f"{median(one.p50_ms for one in found):.2f}",
        f"{median(one.p99_ms for one in found):.1f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--place", choices=("disk", "memory"), default="disk")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--cells", default=CELLS)
    arguments = parser.parse_args()
    cells, seconds = arguments.cells.split(","), arguments.seconds
    folders = dict(one.split("=", 1) for one in arguments.folders)
    ours: dict[str, dict[str, list[Measure]]] = {cell: {name: [] for name in folders} for cell in cells}
    others: dict[str, list[Measure]] = {}
    loads = []
    with ExitStack() as stack:
        revisions = {
            name: Revision(Path(folder).resolve(), seconds, arguments.place, stack)
            for name, folder in folders.items()
        }
        for cell in cells:
            for revision in revisions.values():
                revision.open(cell)
        peers = Peers(revisions[list(folders)[-1]], seconds)
        for number in range(arguments.rounds):
            for cell in cells:
                for name in list(folders)[:: -1 if number % 2 else 1]:
                    ours[cell][name].append(revisions[name].run(cell))
                    loads.append(os.getloadavg()[0])
            for name, measure in peers.run().items():
                others.setdefault(name, []).append(measure)
        peers.close()
    first = next(iter(folders))
    title = f"{time.strftime('%Y-%m-%d %H:%M')}, data on {arguments.place}, load {_spread(loads, '.1f')}"
    of, costs = (f"of {first}", f"CPU of {first}"), ("client µs", "server µs")
    named = ("", "per s", of[0], *costs, of[1], "rows a batch", "p50 ms", "p99 ms")
    rows = [
        _row_of(f"{cell} {name}", found, by_name[first])
        for cell, by_name in ours.items()
        for name, found in by_name.items()
    ]
    show(f"Charges and µs of CPU a row. {title}", named, rows)
    peer_rows = [
        (name, _spread([one.per_s for one in found]), *(_row_of(name, found, found)[3:5]))
        for name, found in others.items()
    ]
    show("Peers: a row of COPY, a charge of the others", ("", "per s", *costs), peer_rows)


if __name__ == "__main__":
    main()
