"""The ledger's charges beside their limit and beside what a user could have instead, all in one run.

A charge is one job paid for: two events (CreditsCharged, JobQueued), all rules on. Rounds take turns, so that
what else the machine does hits all alike; each figure is the median of its rounds.
"""

import asyncio
import time
from contextlib import ExitStack
from statistics import median

import asyncpg
import pytest
import uvloop

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from tests.bench.big_log import fill
from tests.bench.figures import Figure, Run, board, show
from tests.bench.peers.ledgers import EventSourced, PlainLedger, copy_per_s
from tests.bench.writer import Report, Task, Writer

pytestmark = pytest.mark.bench

ROUNDS = 3
SECONDS = 2.0
CALLERS = (64, 8, 1)
EVENTS_PER_CHARGE = 2

COPY, PLAIN, LIBRARY = "raw COPY, rows", "plain SQL, 64", "eventsourcing, 64"
_AIMS = {(1, 64): "30,000/s", (1, 8): "15,000/s", (1, 1): "p50 0.5 ms"}


def test_charges(durable_url: str, bot_url: str) -> None:
    with ExitStack() as stack:
        _measure_charges(durable_url, bot_url, stack)
    asyncio.run(_dense(durable_url))


def _measure_charges(durable_url: str, bot_url: str, stack: ExitStack) -> None:
    writers = {
        (videos, count): stack.enter_context(Writer(Task(bot_url, SECONDS, count, videos)))
        for videos in (1, 5)
        for count in CALLERS
    }
    library = EventSourced(durable_url, max(CALLERS))
    reports: dict[tuple[int, int], list[Report]] = {}
    peers: dict[tuple[str, int], list[Run]] = {}
    copied: list[float] = []
    for _ in range(ROUNDS):
        for name, writer in writers.items():
            reports.setdefault(name, []).append(writer.run())
        for count, run in uvloop.run(_plain(durable_url)):
            peers.setdefault((PLAIN, count), []).append(run)
        for count in CALLERS:
            peers.setdefault((LIBRARY, count), []).append(library.measure(count, SECONDS))
        copied.append(uvloop.run(copy_per_s(durable_url)))
    library.close()
    _show_charges(reports, peers, median(copied))


def _show_charges(
    reports: dict[tuple[int, int], list[Report]], peers: dict[tuple[str, int], list[Run]], copied: float
) -> None:
    rates = {
        COPY: copied,
        PLAIN: median(run.per_s for run in peers[PLAIN, 64]),
        LIBRARY: median(run.per_s for run in peers[LIBRARY, 64]),
    }
    figures = []
    for (videos, count), found in reports.items():
        cpu_us = median(report.cpu_us for report in found)
        of = "one video" if videos == 1 else f"{videos} videos"
        figures.append(
            Figure(
                f"in orders of {of}, {count} callers ({cpu_us / videos:.0f} µs of our CPU)",
                median(report.per_s for report in found) * videos,
                median(report.p50_ms for report in found),
                median(report.p99_ms for report in found),
                _AIMS.get((videos, count), ""),
                (COPY, PLAIN, LIBRARY) if count == 64 else (COPY,),
            )
        )
    for (peer, count), runs in peers.items():
        figures.append(
            Figure(
                f"{peer.split(',')[0]}, {count} callers",
                median(run.per_s for run in runs),
                median(run.percentile_ms(50) for run in runs),
                median(run.percentile_ms(99) for run in runs),
            )
        )
    what = f"one process, all rules on; {EVENTS_PER_CHARGE} events each"
    board(f"Charges, {what} (aims: ≥ 0.15 × COPY, 8 × plain SQL, 20 × eventsourcing)", rates, figures)


async def _plain(url: str) -> list[tuple[int, Run]]:
    async with asyncpg.create_pool(url, min_size=64, max_size=64) as pool:
        ledger = PlainLedger(pool)
        await pool.execute("DROP TABLE IF EXISTS plain_balances, plain_entries")
        await ledger.open(max(CALLERS))
        return [(count, await ledger.measure(count, SECONDS)) for count in CALLERS]


async def _dense(url: str) -> None:
    """What was measured was right: every position is there, the chain holds at its end."""
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        head = await LogReader(pool).head()
        assert await pool.fetchval("SELECT count(*) FROM events") == head.position


def test_processes_beside_each_other(durable_url: str) -> None:
    alone: list[Report] = []
    together: list[float] = []
    beside: list[Report] = []
    with ExitStack() as stack:
        one, *four = [stack.enter_context(Writer(Task(durable_url, SECONDS, 64))) for _ in range(5)]
        quiet = stack.enter_context(Writer(Task(durable_url, SECONDS, pause_s=0.01)))
        for _ in range(ROUNDS):
            alone.append(one.run())
            for writer in four:
                writer.begin()
            together.append(sum(writer.report().per_s for writer in four))
            one.begin()
            beside.append(quiet.run())
            one.report()
    one_process = "one process, 64 callers"
    alone_per_s = median(report.per_s for report in alone)
    board(
        "Charges, several processes (orders of one video)",
        {one_process: alone_per_s},
        [
            Figure("four processes, 64 each", median(together), aim="0.8 ×", of=(one_process,)),
            Figure(
                "one command at a time beside the one process",
                p50_ms=median(report.p50_ms for report in beside),
                p99_ms=median(report.p99_ms for report in beside),
                aim="p99 20 ms",
            ),
        ],
    )


LONG_EVENTS = 100_000
LONG_ACCOUNTS = 4


def _long_life() -> list[tuple[str, c.Command]]:
    """An account with many events and few lots: credits given and taken back, over and over."""
    commands: list[tuple[str, c.Command]] = [
        ("open:@", c.OpenAccount("@", "0" * 64)),
        ("terms:@", c.AcceptTerms("@", "1", 2)),
    ]
    for n in range((LONG_EVENTS - 4) // 2):
        commands.append((f"grant:@{n}", c.GrantCredits("@", 1, "manual", "bench")))
        commands.append((f"revoke:@{n}", c.RevokeCredits("@", 1, "manual")))
    return [*commands, ("grant:@", c.GrantCredits("@", 1_000_000, "manual", "bench"))]


def test_long_accounts(durable_url: str) -> None:
    asyncio.run(fill(durable_url, LONG_EVENTS * LONG_ACCOUNTS, commands=_long_life(), abreast=LONG_ACCOUNTS))
    long = [f"{n:08x}" for n in range(LONG_ACCOUNTS)]
    cold_ms = uvloop.run(_cold(durable_url, long[0]))
    short = uvloop.run(_short(durable_url))
    tasks = [Task(durable_url, SECONDS, 64, accounts=accounts) for accounts in (short, long)]
    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(task)) for task in tasks]
        reports = [[writer.run() for writer in writers] for _ in range(ROUNDS)]
    rates = [median(pair[n].per_s for pair in reports) for n in (0, 1)]
    board(
        f"Charges on {LONG_ACCOUNTS} accounts, 64 callers, orders of one video",
        {"accounts with 10 events": rates[0]},
        [
            Figure(
                f"accounts with {LONG_EVENTS:,} events", rates[1], aim="1 ×", of=("accounts with 10 events",)
            )
        ],
    )
    show(
        f"A cold account of {LONG_EVENTS:,} events: ms until it is ready",
        ("how", "ms"),
        list(cold_ms.items()),
    )


async def _short(url: str) -> list[str]:
    accounts = [f"short{n}" for n in range(LONG_ACCOUNTS)]
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, Ledger(url, pool) as ledger:
        for account in accounts:
            await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
            await ledger.execute(c.AcceptTerms(account, "1", 1_000_000), key=f"terms:{account}")
            for n in range(7):
                await ledger.execute(c.GrantCredits(account, 1, "manual", "x"), key=f"grant:{account}{n}")
    return accounts


async def _cold(url: str, account: str) -> dict[str, float]:
    """The first charge of an appender that has just started, without a snapshot and with one; a reader."""
    found: dict[str, float] = {}
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        for how in ("first charge, no snapshot yet", "first charge"):
            async with Ledger(url, pool) as ledger:
                await ledger.execute(c.OpenAccount(f"warm {how}", "0" * 64), key=f"open:{how}")
                found[how] = await _timed(_charge(ledger, account, how))
        found["read of the account"] = await _timed(LogReader(pool).account(account))
    return found


async def _charge(ledger: Ledger, account: str, name: str) -> None:
    order = c.OrderVideos(account, name, (f"j{name}",), 1, "m", "ugc", "p", "b", "ru", 900)
    await ledger.execute(order, key=f"order:{name}")


async def _timed(work) -> float:
    begin = time.perf_counter()
    await work
    return (time.perf_counter() - begin) * 1000
