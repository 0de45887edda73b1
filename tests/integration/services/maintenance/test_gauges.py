"""What is only measured: it is right, it fails by itself, and two of them change nothing."""

from decimal import Decimal
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis
from structlog.testing import capture_logs

from events.job import Failure
from ledger import commands as c
from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from services.adapters.kie.errors import KieRefusedError, OutcomeUnknownError
from services.adapters.kie.failures import KieFailure
from services.adapters.kie.gateway import Kie
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.provider_limits import ProviderLimits, ProviderRates
from services.maintenance.gauges import (
    Balances,
    Rests,
    UnknownSubmissions,
    measure_models,
    measure_open_jobs,
)
from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.integration.services.maintenance.conftest import metric, overdue, recorded_at
from tests.support.order_fixture import OrderFixture
from tests.support.small_disk import small_redis

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


class Accounts(Kie):
    """A provider with accounts whose balances, or trouble, a test decides."""

    def __init__(self, **answers: Decimal | Exception) -> None:
        self.answers = answers
        self.asked = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.answers)

    def client(self, account: str) -> "Accounts":  # type: ignore[override]
        self.asked = account
        return self

    async def credit(self) -> Decimal:
        answer = self.answers[self.asked]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_balances_are_read_and_trouble_with_one_account_is_counted() -> None:
    refused = KieRefusedError(KieFailure("provider_auth", "401", "no"))
    balances = Balances(
        Accounts(b1=Decimal("12.5"), b2=refused, b3=OutcomeUnknownError(KieFailure("transient")))
    )
    assert balances.most is None, "nothing is read yet"
    assert await balances.run_once() == 1
    assert balances.most == Decimal("12.5")
    assert metric("provider_balance_credits", account="b1") == 12.5
    assert metric("provider_balance_timestamp_seconds", account="b1") > 1_000_000_000
    failures = "provider_balance_failures_total"
    assert metric(failures, account="b2", error_class="provider_auth") == 1
    assert metric(failures, account="b3", error_class="transient") == 1
    assert REGISTRY.get_sample_value("neurocards_provider_balance_credits", {"account": "b2"}) is None


async def test_what_was_spent_is_what_balances_went_down_by() -> None:
    accounts = Accounts(s1=Decimal(10), s2=Decimal(5))
    balances = Balances(accounts)
    for one, two in (("10", "5"), ("7.5", "5"), ("107", "4"), ("106", "4")):  # s1 was topped up in between
        accounts.answers = {"s1": Decimal(one), "s2": Decimal(two)}
        await balances.run_once()
    spent = {account: metric("provider_spent_credits_total", account=account) for account in ("s1", "s2")}
    assert spent == {"s1": 3.5, "s2": 1}


async def test_resting_accounts_are_seen_by_whoever_asks(redis: Redis) -> None:
    workers = ProviderLimits(redis, ProviderRates(rest_s=60))
    await workers.rest("r1")
    rests = Rests(Accounts(r1=Decimal(0), r2=Decimal(0)), redis)
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
    assert await measure_models(book, ("good", "closed")) == 0
    await book.pause("closed", "me", "too expensive today")
    assert await measure_models(book, ("good", "closed")) == 1
    states = {m: metric("model_state", model=m, state="paused") for m in ("good", "closed")}
    assert states == {"good": 0, "closed": 1}
    assert metric("model_state", model="closed", state="available") == 0
    await book.resume("closed", "me", "again")
    assert await measure_models(book, ("good", "closed")) == 0
    assert metric("model_state", model="closed", state="available") == 1


async def test_while_redis_is_away_the_last_known_rests_stay() -> None:
    away = command_client(load_settings(redis_url="redis://127.0.0.1:1"))
    failures = metric("maintenance_redis_failures_total")
    assert await Rests(Accounts(r3=Decimal(0)), away).run_once() == 0
    assert metric("maintenance_redis_failures_total") == failures + 1
    await away.aclose()


async def test_a_redis_that_takes_no_writes_counts_as_away_though_it_can_be_read() -> None:
    async with small_redis() as small:
        rests = Rests(Accounts(r4=Decimal(0)), small.redis)
        failures = metric("maintenance_redis_failures_total")
        await rests.run_once()
        assert metric("maintenance_redis_failures_total") == failures
        await small.refuse_writes()
        await rests.run_once()
        assert metric("maintenance_redis_failures_total") == failures + 1


async def test_open_jobs_by_state(studio: OrderFixture, pool: "Pool", ledger: Ledger) -> None:
    order = await studio.order(await studio.seller(), 4)
    await studio.start(order.jobs[0])
    await studio.start(order.jobs[1])
    await studio.submit(order.jobs[1], task="t")
    await studio.finish(order.jobs[2])
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0))
    late = await studio.order(order.seller)  # the read model does not know it yet
    assert await measure_open_jobs(pool) == 3 + len(late.jobs)
    states = {s: metric("jobs_in_state", state=s) for s in ("queued", "writing", "rendering", "retrying")}
    assert states == {"queued": 2, "writing": 1, "rendering": 1, "retrying": 0}


async def test_the_oldest_jobs_are_told_without_any_read_model(studio: OrderFixture, pool: "Pool") -> None:
    await measure_open_jobs(pool)
    names = ("oldest_open_job", "oldest_unstarted_job", "earliest_deadline")
    assert [metric(f"{name}_timestamp_seconds") for name in names] == [0, 0, 0]
    order = await studio.order(await studio.seller(), 2, deadline_s=900)
    await studio.order(order.seller, deadline_s=60)
    await studio.start(order.jobs[0])
    await measure_open_jobs(pool)
    jobs = {row["job"]: row for row in await pool.fetch("SELECT * FROM open_jobs")}
    began = [await recorded_at(pool, jobs[job]["position"]) for job in order.jobs]
    earliest = min(row["deadline_at_us"] for row in jobs.values()) / 1e6
    assert [metric(f"{name}_timestamp_seconds") for name in names] == pytest.approx([*began, earliest])


async def test_what_is_open_and_overdue(studio: OrderFixture, pool: "Pool") -> None:
    assert await measure_open_jobs(pool) == 0
    assert (metric("jobs_open"), metric("jobs_overdue")) == (0, 0)
    order = await overdue(studio, 2)
    await studio.order(order.seller)
    assert await measure_open_jobs(pool) == 3
    assert (metric("jobs_open"), metric("jobs_overdue")) == (3, 2)


async def test_dead_letters_by_class(studio: OrderFixture, pool: "Pool", ledger: Ledger) -> None:
    order = await studio.order(await studio.seller(), 4)
    for job, error_class in zip(order.jobs, ("poison", "poison", "our_fault", "timeout"), strict=True):
        await studio.fail(order, job, error_class)
    await ledger.execute(c.DropDeadLetter(order.jobs[0], "seen", "login:neurocards_operator"), key="drop")
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0))
    await measure_open_jobs(pool)
    assert (
        metric("dead_letters", error_class="poison") == metric("dead_letters", error_class="our_fault") == 1
    )
    assert metric("dead_letters", error_class="result_broken") == 0
    assert REGISTRY.get_sample_value("neurocards_dead_letters", {"error_class": "timeout"}) is None


async def test_an_unknown_submission_is_counted_and_told_once(
    studio: OrderFixture, pool: "Pool", ledger: Ledger
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
    studio: OrderFixture, pool: "Pool", ledger: Ledger
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
