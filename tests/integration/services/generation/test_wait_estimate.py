"""What waits, read from the log: per seller, whatever the projections know."""

from pathlib import Path
from typing import Any

from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from projections.engine.runner import Runner
from projections.models.job_times import JOB_TIMES
from services.generation.catalogue import load_catalogue
from services.generation.wait_estimate import LATELY_MIN, MEASURED_MIN, Capacity, Outlook, RenderTimes
from services.platform.blobs import FolderBlobs
from tests.support.order_fixture import OrderFixture

query = load_queries("services.generation")

MODEL = load_catalogue().default


async def test_who_waits_and_who_is_rendered(ledger: Ledger, pool: Any, tmp_path: Path) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    one, other = await studio.seller(), await studio.seller()
    rendering, started, queued = (await studio.order(one, 3)).jobs
    await studio.start(rendering)
    await studio.submit(rendering, task="t1")
    await studio.start(started)
    done = (await studio.order(other, 1)).jobs[0]
    await studio.finish(done)
    rows = {row["account"]: row for row in await pool.fetch(query("waiting"))}
    assert set(rows) == {one.account}
    assert (rows[one.account]["waiting"], rows[one.account]["open"]) == (2, 3)
    assert rows[one.account]["unstarted_s"] > 0
    await studio.start(queued)
    (row,) = await pool.fetch(query("waiting"))
    assert row["unstarted_s"] == 0


async def test_an_estimate_counts_who_is_before(ledger: Ledger, pool: Any, tmp_path: Path) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    for _ in range(3):
        order = await studio.order(await studio.seller(), 2)
        for job in order.jobs:
            await studio.start(job)
    outlook = Outlook(pool, Capacity(per_s=0.5, in_flight_max=20))
    found = await outlook.estimate(MODEL, "somebody new", 1, deadline_s=900)
    assert found.wait_s == 3 / 0.5, "one of each before the one of mine"
    assert found.usual_s == found.wait_s + MODEL.expected_s


async def test_few_videos_are_no_measurement(ledger: Ledger, pool: Any, tmp_path: Path) -> None:
    studio, times = OrderFixture(ledger, pool, FolderBlobs(tmp_path)), RenderTimes(pool)
    order = await studio.order(await studio.seller(), MEASURED_MIN)
    await studio.finish_all(order.jobs[: LATELY_MIN - 1])
    await times.measure()
    assert times.lately_s("m", 0) is None
    await studio.finish(order.jobs[LATELY_MIN])
    await times.measure()
    assert times.lately_s("m", 0) is not None and times.lately_s("m", 5) is None
    await studio.finish_all([*order.jobs[LATELY_MIN - 1 : LATELY_MIN], *order.jobs[LATELY_MIN + 1 : -1]])
    await times.measure()
    assert "m" not in times._measured
    await studio.finish(order.jobs[-1])
    await times.measure()
    assert 0 < times._measured["m"].usual_s <= times._measured["m"].p95_s
    await Runner(pool, JOB_TIMES).apply(await ledger.read.events_after(0))
    usual_s = await pool.fetchval(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY made_us) / 1e6 FROM job_times"
    )
    assert usual_s == times._measured["m"].usual_s, "measured in the log as in the read model"


async def test_the_whole_time_of_a_job(ledger: Ledger, pool: Any, tmp_path: Path) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    (job,) = (await studio.order(await studio.seller(), deadline_s=70)).jobs
    queued = (await ledger.read.job(job)).queued
    assert queued is not None
    assert await RenderTimes(pool).whole_s(job, queued.deadline_at_us) == 70


async def test_reading_times_looks_at_a_bounded_part_of_the_log(pool: Any) -> None:
    plan = await pool.fetch(
        "EXPLAIN " + query("render_times").replace("$1", "10").replace("$2", "5").replace("$3", "5")
    )
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text, text
