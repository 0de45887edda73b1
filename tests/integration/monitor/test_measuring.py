"""What the monitor only measures: it is right, it fails by itself, and two of them change nothing."""

import math
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from events.job import Failure
from ledger import commands as c
from ledger.log import Ledger
from projections.job_status import JOB_STATUS
from projections.runner import Runner
from services.adapters.kie.errors import KieRefused, OutcomeUnknown
from services.monitor.accounts import Balances, Rests
from services.monitor.lags import Lags
from services.monitor.models import ModelStates
from services.monitor.rounds import Rounds
from services.monitor.summary import OpenJobsSummary
from services.monitor.unknown import UnknownSubmissions
from services.shared.models.book import CircuitBook
from services.shared.provider_limits import ProviderLimits, ProviderRates
from services.shared.redis_client import command_client
from services.shared.settings import load_settings
from services.shared.streams import GENERATION, JOBS, LEDGER
from tests.support.studio import Studio

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


def metric(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"neurocards_{name}", labels)
    assert value is not None, name
    return value


class Accounts:
    """A provider with accounts whose balances, or trouble, a test decides."""

    def __init__(self, **answers: Decimal | Exception) -> None:
        self.answers = answers
        self.asked = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.answers)

    def client(self, account: str) -> "Accounts":
        self.asked = account
        return self

    async def credit(self) -> Decimal:
        answer = self.answers[self.asked]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_balances_are_read_and_trouble_with_one_account_is_counted() -> None:
    refused = KieRefused(Failure("provider_auth", "401", "no"))
    balances = Balances(Accounts(b1=Decimal("12.5"), b2=refused, b3=OutcomeUnknown(Failure("transient"))))
    assert await balances.run_once() == 1
    assert metric("provider_balance_credits", account="b1") == 12.5
    assert metric("provider_balance_timestamp_seconds", account="b1") > 1_000_000_000
    failures = "provider_balance_failures_total"
    assert metric(failures, account="b2", error_class="provider_auth") == 1
    assert metric(failures, account="b3", error_class="transient") == 1
    assert REGISTRY.get_sample_value("neurocards_provider_balance_credits", {"account": "b2"}) is None


async def test_resting_accounts_are_seen_by_whoever_asks(redis: Redis) -> None:
    workers = ProviderLimits(redis, ProviderRates(rest_s=60))
    await workers.rest("r1")
    rests = Rests(Accounts(r1=Decimal(0), r2=Decimal(0)), ProviderLimits(redis))
    assert await rests.run_once() == 1
    assert (
        metric("provider_account_resting", account="r1"),
        metric("provider_account_resting", account="r2"),
    ) == (1, 0)
    await workers.wake("r1")
    assert await rests.run_once() == 0
    assert metric("provider_account_resting", account="r1") == 0


async def test_the_state_of_every_model(pool: "Pool") -> None:
    book = CircuitBook(pool)
    models = ModelStates(book, ("good", "closed"))
    assert await models.run_once() == 0
    await book.pause("closed", "me", "too expensive today")
    assert await models.run_once() == 1
    states = {m: metric("model_state", model=m, state="paused") for m in ("good", "closed")}
    assert states == {"good": 0, "closed": 1}
    assert metric("model_state", model="closed", state="available") == 0
    await book.resume("closed", "me", "again")
    assert await models.run_once() == 0
    assert metric("model_state", model="closed", state="available") == 1


async def test_without_redis_a_process_tells_what_it_knows_itself() -> None:
    limits = ProviderLimits(None)
    assert await limits.rests(("a", "b")) == {"a": 0, "b": 0}
    await limits.rest("a")
    rests = await limits.rests(("a", "b"))
    assert rests["a"] > 0 and rests["b"] == 0


@pytest.fixture
async def redis(redis_url: str) -> Any:
    async with command_client(load_settings(redis_url=redis_url)) as client:
        yield client


async def test_the_lag_of_every_consumer(studio: Studio, pool: "Pool", redis: Redis, ledger: Ledger) -> None:
    order = await studio.order(await studio.seller(), 3)
    head = (await ledger.read.head()).position
    queued = [job.position for job in await ledger.read.open_jobs()]
    lags = Lags(pool, redis)
    await lags.run_once()  # no stream is there yet
    assert metric("consumer_lag_positions", consumer="relay") == head
    assert metric("consumer_lag_positions", consumer="generation") == 0

    await redis.xadd(LEDGER, {"event": "x"}, id=f"{head - 1}-0")
    for position, job in zip(queued, order.jobs, strict=True):
        await redis.xadd(JOBS, {"job": job, "type": "JobQueued"}, id=f"{position}-0")
    await redis.xgroup_create(JOBS, GENERATION, id="0")
    await redis.xreadgroup(GENERATION, "w1", {JOBS: ">"}, count=1)
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0, head - 2))
    await lags.run_once()
    assert metric("consumer_lag_positions", consumer="relay") == 1
    assert metric("consumer_lag_positions", consumer="generation") == queued[-1] - queued[0]
    assert metric("consumer_lag_positions", consumer="job_status") == 2
    assert metric("consumer_lag_positions", consumer="notifier") == head


async def test_a_redis_that_is_away_is_counted_and_the_others_are_measured(
    studio: Studio, pool: "Pool", ledger: Ledger, tmp_path: Any
) -> None:
    await studio.seller()
    before = metric("monitor_redis_failures_total")
    async with command_client(load_settings(redis_url=f"unix://{tmp_path}/nowhere.sock")) as away:
        await Lags(pool, away).run_once()
    assert metric("monitor_redis_failures_total") == before + 1
    assert math.isnan(metric("consumer_lag_positions", consumer="relay"))
    assert metric("consumer_lag_positions", consumer="notifier") == (await ledger.read.head()).position


async def test_open_jobs_by_state(studio: Studio, pool: "Pool", ledger: Ledger) -> None:
    order = await studio.order(await studio.seller(), 4)
    await studio.start(order.jobs[0])
    await studio.start(order.jobs[1])
    await studio.submit(order.jobs[1], task="t")
    await studio.finish(order.jobs[2])
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0))
    late = await studio.order(order.seller)  # the read model does not know it yet
    assert await OpenJobsSummary(pool).measure() == 3 + len(late.jobs)
    states = {s: metric("jobs_in_state", state=s) for s in ("queued", "writing", "rendering", "retrying")}
    assert states == {"queued": 2, "writing": 1, "rendering": 1, "retrying": 0}


async def test_dead_letters_by_class(studio: Studio, pool: "Pool", ledger: Ledger) -> None:
    order = await studio.order(await studio.seller(), 4)
    for job, error_class in zip(order.jobs, ("poison", "poison", "our_fault", "timeout"), strict=True):
        await studio.fail(order, job, error_class)
    await ledger.execute(c.DropDeadLetter(order.jobs[0], "seen", "me"), key="drop")
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0))
    await OpenJobsSummary(pool).run_once()
    assert (
        metric("dead_letters", error_class="poison") == metric("dead_letters", error_class="our_fault") == 1
    )
    assert metric("dead_letters", error_class="result_broken") == 0
    assert REGISTRY.get_sample_value("neurocards_dead_letters", {"error_class": "timeout"}) is None


async def test_an_unknown_submission_is_counted_and_told_once(
    studio: Studio, pool: "Pool", ledger: Ledger
) -> None:
    order = await studio.order(await studio.seller(), 4)
    for job in order.jobs:
        await studio.start(job)
    await studio.submit(order.jobs[0])
    await studio.submit(order.jobs[1], task="known")
    await studio.submit(order.jobs[2])
    await studio.fail(order, order.jobs[2])  # its seller has been told
    await ledger.execute(c.StartJob(order.jobs[0], 2, "w2"), key="another run makes it no less unknown")
    one, other = UnknownSubmissions(pool, after_s=0), UnknownSubmissions(pool, after_s=0)
    with capture_logs() as logs:
        assert [await one.run_once() for _ in range(3)] == [1, 1, 1]
    assert [(log["event"], log["job"], log["submission"]) for log in logs] == [
        ("submission_still_unknown", order.jobs[0], 1)
    ]
    assert metric("submissions_unknown") == await other.run_once() == 1
    assert await UnknownSubmissions(pool, after_s=3600).run_once() == 0

    await ledger.execute(c.RecordAccepted(order.jobs[0], 1, "found"), key="callback")
    assert await one.run_once() == 0 == metric("submissions_unknown")


async def test_a_later_submission_is_unknown_whatever_became_of_the_earlier(
    studio: Studio, pool: "Pool", ledger: Ledger
) -> None:
    """The first one was refused, and its task turns up after all while the second is unknown."""
    order = await studio.order(await studio.seller())
    (job,) = order.jobs
    await studio.start(job)
    await studio.submit(job)
    refusal = c.FailSubmission(job, order.seller.account, 1, 1, Failure("transient", "500"), 1, 60)
    await ledger.execute(refusal, key="refused")
    await ledger.execute(c.IntendSubmission(job, 1, 2, "k1", "m"), key="intend:2")
    await ledger.execute(c.RecordAccepted(job, 1, "after all"), key="accept:1")
    assert await UnknownSubmissions(pool, after_s=0).run_once() == 1
    await ledger.execute(c.RecordAccepted(job, 2, "t2"), key="accept:2")
    assert await UnknownSubmissions(pool, after_s=0).run_once() == 0


async def test_rounds_remember_only_what_ended_well() -> None:
    rounds = Rounds()
    answers: Iterator[int | Exception] = iter([3, 0, OSError("away"), 2])

    async def run_once() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    slow, eager = rounds.of("slow", run_once), rounds.of("eager", run_once, at_once=True)
    assert rounds.status()["slow"] == {"ago_s": None, "last": 0, "total": 0}
    assert await slow() == 0
    assert rounds.status()["slow"]["total"] == 3
    await slow()
    with pytest.raises(OSError, match="away"):
        await slow()
    told = rounds.status()["slow"]
    assert (told["last"], told["total"]) == (0, 3) and told["ago_s"] is not None
    assert await eager() == 2
