"""`neurocards streams …` on real servers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from projections.engine.registry import PROJECTIONS
from services.platform.redis_keys import JOBS, LEDGER, seat_key
from services.streams.entries import GENERATION, entry_id
from services.streams.publisher.rebuild import Rebuild
from services.streams.publisher.scripts import Scripts
from tests.integration.services.cli.conftest import Done, Run
from tests.support.traffic import Traffic

WHO = ("--reason", "to see")

Streams = Callable[..., Awaitable[Done]]


@pytest.fixture
async def streams(run: Run, redis_url: str) -> Streams:
    """Runs `neurocards streams …` while the test's loop turns."""

    async def one(*words: str, **env: str) -> Done:
        return await asyncio.to_thread(lambda: run("streams", *words, **{"REDIS_URL": redis_url, **env}))

    return one


@pytest.fixture
async def publish(pool, redis: Redis) -> Callable[[], Awaitable[int]]:
    """Both streams as a relay would have made them; the last position."""

    async def one() -> int:
        done = await Rebuild(pool, Scripts(redis, ledger_entries_max=1000), entries=1000, reach_back=0).run()
        assert done is not None
        return done.last

    return one


async def test_status_tells_what_is_there_and_who_is_late(
    streams: Streams, traffic: Traffic, publish, redis: Redis, pool
):
    await traffic.play(20)
    await traffic.order(3)
    last = await publish()
    await redis.xreadgroup(GENERATION, "w2", {JOBS: ">"}, count=1)
    await redis.set(seat_key(GENERATION, "w2"), "token", px=20_000)
    await redis.xgroup_createconsumer(JOBS, GENERATION, "w1")
    await traffic.order(1)  # not published

    done = await streams("status", "-o", "json", LEASE_SECONDS="30")

    assert done.code == 0, done.err
    of: dict[str, dict[str, dict[str, Any]]] = {}
    for row in done.rows:
        of.setdefault(row["kind"], {})[row.get(row["kind"], "log")] = row
    log = of["log"]["log"]
    unfinished = await pool.fetchval("SELECT count(*) FROM open_jobs")
    assert (log["head"], log["open_jobs"], log["redis"]) == (last + 2, unfinished, "ok")
    ledger, of_jobs = of["stream"][LEDGER], of["stream"][JOBS]
    assert (ledger["entries"], ledger["first"], ledger["last"], ledger["tail"]) == (last, 1, last, "behind")
    assert of_jobs["tail"] == "as the log" and ledger["memory_bytes"] > 1000
    assert set(of["reader"]) == {"relay", GENERATION, "notifier", *PROJECTIONS}
    relay, balances, group = (of["reader"][name] for name in ("relay", "balances", GENERATION))
    assert (relay["position"], relay["lag"]) == (last, 2) and 0 < relay["lag_s"] < balances["lag_s"] < 600
    assert (balances["position"], balances["lag"]) == (0, last + 2)
    assert group["pending"] == 1 and group["lag"] > 0 and group["oldest_pending_s"] >= group["lag_s"] > 0
    seats = [(name, row["pending"], row["renewed_s"]) for name, row in of["consumer"].items()]
    assert seats[0] == ("w1", 0, None) and seats[1][:2] == ("w2", 1) and 10 <= seats[1][2] < 20

    shown = await streams("status")
    assert shown.code == 0 and f"the log's head is {last + 2}" in shown.err
    assert all(words in shown.out for words in ("who follows the log", "workers' seats", "empty", "notifier"))


async def test_status_and_the_others_without_redis(streams: Streams, traffic: Traffic):
    await traffic.play(5)
    away = {"REDIS_URL": "redis://127.0.0.1:1/0"}
    done = await streams("status", "-o", "jsonl", **away)
    assert done.code == 1 and "Redis does not answer" in done.err
    assert {row["kind"] for row in done.rows} == {"log", "reader"}
    assert {"balances", "notifier"} <= {row.get("reader") for row in done.rows}
    done = await streams("verify", **away)
    assert done.code == 1 and "Redis does not answer" in done.err


async def entry(redis: Redis, at: str, stream: str = LEDGER) -> Any:
    """The entry at an ID, or the one before it."""
    return cast(Any, await redis.xrevrange(stream, at, "-", count=1))[0]


async def test_what_differs_is_listed_and_a_rebuild_makes_it_right(
    streams: Streams, traffic: Traffic, publish, redis: Redis
):
    fresh = await streams("status")
    assert fresh.code == 0 and "empty" in fresh.out and "missing" not in fresh.out
    await traffic.play(20)
    done = await streams("status")
    assert done.code == 1 and "missing" in done.out  # nothing was ever published
    assert (await publish()) > 20
    done = await streams("verify")
    assert (done.code, done.out) == (0, "") and "entries of ledger (1 to" in done.err
    text = (await entry(redis, "9-0"))[1][b"event"].replace(b'"version":', b'"version":1')
    await redis.xdel(LEDGER, "5-0", "9-0")

    done = await streams("verify", "-o", "json")
    assert done.code == 3
    assert [row["position"] for row in done.rows] == [6, 10] and "has 6 after 4" in done.rows[0]["message"]

    planned = await streams("rebuild", *WHO, "--dry-run", "-o", "json")
    assert planned.code == 0 and planned.rows[0]["from"] == 1
    assert (await streams("rebuild", *WHO)).code == 2
    assert (await streams("verify")).code == 3
    assert (await streams("rebuild", *WHO, "--yes")).code == 0
    assert (await streams("verify")).code == 0

    last, _ = await entry(redis, "+")
    await redis.delete(LEDGER)
    await redis.xadd(LEDGER, {"event": text}, id=last)
    done = await streams("status")
    assert done.code == 3 and "neurocards recover" in done.err
    assert (await streams("rebuild", *WHO, "--yes")).code == 3


async def test_trim_keeps_what_is_unfinished(
    streams: Streams, traffic: Traffic, publish, redis: Redis, ledger
):
    await traffic.play(30)
    await traffic.finish_all()
    jobs = await traffic.order(3)
    last = await publish()
    for job in jobs[:2]:
        await traffic.fail(job)

    planned = await streams("trim", *WHO, "--entries", "10", "--dry-run", "-o", "json")
    assert [(row["entries"], row["to_remove"]) for row in planned.rows] == [(last, last - 10), (3, 2)]
    assert await redis.xlen(LEDGER) == last
    assert (await streams("trim", *WHO, "--entries", "10")).code == 2
    done = await streams("trim", *WHO, "--entries", "10", "--yes")

    assert done.code == 0 and f"{last - 10} entries of ledger and 2 of jobs" in done.err
    assert await redis.xlen(LEDGER) == 10
    oldest = (await ledger.read.open_jobs())[0]
    first = cast(Any, await redis.xrange(JOBS, count=1))[0][0]
    assert first == entry_id(oldest.position).encode()


async def test_recover_makes_good_what_redis_has_lost(
    run: Run, redis_url: str, traffic: Traffic, publish, redis: Redis, streams: Streams, tmp_path
):
    def recover(*words: str) -> Done:
        kept = {"REDIS_URL": redis_url, "CHECKPOINT_DIR": str(tmp_path), "NEUROCARDS_DATA_DIR": str(tmp_path)}
        return run("recover", *WHO, "-o", "json", *words, **kept)

    await traffic.play(20)
    for lost, said in ((LEDGER, "empty"), (JOBS, "a stream is missing")):
        await publish()
        assert "nothing to do" in (await asyncio.to_thread(recover)).err
        await redis.delete(lost)
        planned = await asyncio.to_thread(recover, "--dry-run")
        step = next(row for row in planned.rows if row["part"] == "streams")
        assert said in step["found"] and step["action"] == "made anew from the log"
        assert (await asyncio.to_thread(recover)).code == 2
        assert (await asyncio.to_thread(recover, "--yes")).code == 0
        assert (await streams("verify")).code == 0
