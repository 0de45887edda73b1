"""Commands per second of one process, beside raw COPY into the same table in the same run."""

import itertools
import time

import asyncpg
import pytest
import uvloop

from ledger import commands as c
from ledger.log import Ledger
from tests.bench.figures import callers, show

pytestmark = pytest.mark.bench

CALLERS = (1, 8, 64, 512)
SECONDS = 4.0
_COPY_ROWS = 200_000


def test_ledger_commands(durable_url: str) -> None:
    rows, copy_per_s = uvloop.run(_measure(durable_url))
    table = [
        (
            name,
            count,
            f"{run.per_s:,.0f}",
            f"{run.per_s * events:,.0f}",
            f"{run.per_s * events / copy_per_s:.0%}",
            run.percentile_ms(50),
            run.percentile_ms(99),
        )
        for name, events, count, run in rows
    ]
    show(
        f"Ledger, one process, all rules on (raw COPY into the same table: {copy_per_s:,.0f} rows/s)",
        ("command", "callers", "commands/s", "events/s", "of COPY", "p50 ms", "p99 ms"),
        table,
    )


async def _measure(url: str):
    serial = itertools.count()

    def order(caller: int, videos: int) -> tuple[c.Command, str]:
        n = next(serial)
        jobs = tuple(f"{n:020d}-{v}" for v in range(videos))
        command = c.OrderVideos(
            f"a{caller}", f"{n:024d}", jobs, 1, "bytedance/seedance-2-fast", "ugc",
            f"photos/{n:024d}.jpg", f"{n:024d}", "ru", 900,
        )  # fmt: skip
        return command, f"order:{n:024d}"

    def grant(caller: int, _: int) -> tuple[c.Command, str]:
        n = next(serial)
        return c.GrantCredits(f"a{caller}", 1, "manual", "bench"), f"grant:{n:024d}"

    rows = []
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=2, server_settings={"role": "neurocards_app"}) as pool,
        Ledger(url, pool) as ledger,
    ):
        for caller in range(max(CALLERS)):
            await ledger.execute(c.OpenAccount(f"a{caller}"), key=f"open:{caller}")
            await ledger.execute(c.AcceptTerms(f"a{caller}", "1", 1_000_000), key=f"terms:{caller}")
        for name, make, videos, events in (
            ("grant (1 event)", grant, 0, 1),
            ("order of 1 video (charge + job)", order, 1, 2),
            ("order of 5 videos (5 charges + 5 jobs)", order, 5, 10),
        ):
            for count in CALLERS:

                async def call(caller: int, make=make, videos=videos) -> None:
                    command, key = make(caller, videos)
                    await ledger.execute(command, key=key)

                rows.append((name, events, count, await callers(count, SECONDS, call)))
        head = await ledger.read.head()
        assert await pool.fetchval("SELECT count(*) FROM events") == head.position
        assert sum(run.per_s * run.seconds * events for _, events, _, run in rows) == pytest.approx(
            head.position - 2 * max(CALLERS) - max(CALLERS), rel=0.01
        )
    return rows, await _copy_per_s(url)


async def _copy_per_s(url: str) -> float:
    """Rows per second of COPY into a table with the same columns, checks and indexes."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE copied (LIKE events INCLUDING ALL)")
    records = [tuple(r) for r in await connection.fetch(f"SELECT * FROM events LIMIT {_COPY_ROWS}")]
    begin = time.perf_counter()
    await connection.copy_records_to_table("copied", records=records)
    elapsed = time.perf_counter() - begin
    await connection.close()
    return len(records) / elapsed
