"""Errors, times and days from the command line, on a log of which every figure is known."""

import asyncio
from collections.abc import Callable, Iterable

import asyncpg
import pytest

from events.envelope import Recorded
from events.job import Failure, Video
from ledger import commands as c
from ledger.payments import commands as p
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from services.generation.catalogue import load_catalogue
from tests.integration.services.cli.conftest import Run
from tests.support.fake_clock_ledger import FakeClockLedger

MODEL = load_catalogue().default
WHEN = ("--from", "2026-09-21", "--to", "2026-09-22")
BUSY = Failure("transient", "500", ref="busy")


def played() -> FakeClockLedger:
    """On 2026-09-21: 5 credits bought for 390 rubles of which 100 go back, a video, a failure."""
    desk = FakeClockLedger()
    desk.open("a", 2)
    terms = ("five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
    desk.do(p.OrderPayment("p", "a", "yookassa", *terms))
    desk.do(p.SettlePayment("p", "a", "yookassa", "yk", 39_000, "RUB", "1", False))
    desk.do(p.RecordRefund("p", "a", "yookassa", "yk", "yr", 10_000))
    for job in ("j1", "j2"):
        desk.do(c.OrderVideos("a", f"o-{job}", (job,), 1, MODEL.slug, "ugc", "p", "b", "ru", 900))
        desk.do(c.StartJob(job, 1, "w"))
        desk.do(c.RecordPrompt(job, 1, "prompt", "openai", "t"))
        desk.do(c.IntendSubmission(job, 1, 1, "k", MODEL.slug))
        desk.do(c.RecordAccepted(job, 1, f"task-{job}"))
        desk.wait(119)
    desk.do(c.SucceedJob("j1", 1, 1, Video("v", "0" * 64, 9)))
    desk.do(c.RateVideo("j1", "a", 5))
    desk.do(c.FailSubmission("j2", "a", 1, 1, BUSY, None, 86_400))
    return desk


@pytest.fixture
def stats(run: Run, keep: Callable[[Iterable[Recorded]], None], database_url: str) -> Run:
    """`neurocards stats …` on the played log."""
    desk = played()
    keep(desk.events)

    async def catch_up() -> None:
        async with asyncpg.create_pool(database_url, min_size=1, max_size=2) as pool:
            for name in ("daily", "job_times", "job_status"):
                await Runner(pool, PROJECTIONS[name]).apply(desk.events)
            await Runner(pool, PROJECTIONS["error_stats"]).apply(desk.events[:-1])  # all but the refund
            await pool.execute("INSERT INTO accounts (account, telegram_id) VALUES ('a', 1)")
            words = "INSERT INTO outside_words (ref, account, words) VALUES ('busy', 'a', $1)"
            await pool.execute(words, "busy with Anna\nthe answer")

    asyncio.run(catch_up())
    return lambda *words, **env: run("stats", *words, **env)


def test_the_figures(stats: Run, database_url: str) -> None:
    [day] = stats("daily", *WHEN, "-o", "json", MARGIN_RATES="RUB=1,XTR=1.2,KIE=0.45").rows
    assert {
        "orders": 2,
        "videos": 1,
        "failures": 1,
        "sold": 5,
        "charged": 2,
        "refunded": 1,
    }.items() <= day.items()
    assert day["success"] == 0.5 and day["revenue_minor"] == {"RUB": 29_000, "XTR": 0}
    assert day["provider_credits"] == MODEL.provider_credits
    assert day["margin_minor"] == 29_000 - 45 * MODEL.provider_credits
    table = stats("daily", *WHEN)
    assert "290.00" in table.out and "50.0%" in table.out and "all" in table.out
    assert stats("daily", *WHEN, "-o", "jsonl", MARGIN_RATES="RUB=1").rows[0]["margin_minor"] is None

    [failures] = stats("errors", *WHEN, "-o", "json").rows
    assert (failures["error_class"], failures["model"], failures["words"]) == (
        "transient",
        MODEL.slug,
        "busy with Anna\nthe answer",
    )
    assert (failures["jobs_failed"], failures["submissions_failed"]) == (1, 1)
    [seen] = stats("errors", *WHEN, "-o", "json", DATABASE_URL="", AUDIT_DATABASE_URL=database_url).rows
    assert seen == failures | {"words": ""}  # an auditor's
    shown = stats("errors", *WHEN, "--hourly")
    assert "500 busy with Anna" in shown.out and "the answer" not in shown.out
    assert "2026-09-21" in shown.out
    assert "error_stats is 1 events behind" in shown.err and "1 jobs failed" in shown.err

    [style] = stats("styles", *WHEN, "-o", "json").rows
    assert style == {"style": "ugc", "jobs": 2, "videos": 1, "liked": 1, "disliked": 0}

    parts = {row["part"]: row for row in stats("times", *WHEN, "-o", "json").rows if row["model"] is None}
    assert parts["one video"]["jobs"] == 1 and parts["in all"]["jobs"] == 2
    assert parts["one video"]["p50_s"] == parts["one video"]["max_s"] > 119
    assert "retrying" not in parts
    assert "2 min" in stats("times", *WHEN, "--model", MODEL.slug).out


def test_a_time_without_anything_and_a_range_that_is_none(stats: Run) -> None:
    for command in ("errors", "times", "daily", "styles"):
        assert stats(command, "--to", "2026-01-01", "-o", "json").rows == []
        assert stats(command, "--from", "2026-09-22", "--to", "2026-09-21").code == 2
        assert stats(command, "--from", "17").code == 2
