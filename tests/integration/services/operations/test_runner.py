"""Operations: asked for once, carried out once, killed, taken over, aborted; and what may be asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from projections.reports.audit_questions import actions
from projections.reports.log_position import NOW
from services.accounts.erase import Forgetting
from services.generation.catalogue import load_catalogue
from services.operations.runner import Operation, OperationRunner, Tell, job_steps, query
from services.platform.blobs import FolderBlobs
from services.platform.settings import load_settings
from tests.integration.ledger.test_door import login
from tests.support.arena.processes import own_login
from tests.support.order_fixture import OrderFixture, PlacedOrder
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

__all__ = ["login"]

WHO, WHY = "user:u1", "ticket 7"
MODEL = load_catalogue().default.slug


class KilledError(Exception):
    """As good as a SIGKILL: nothing that was to be written afterwards is."""


AskFor = Callable[..., Awaitable[bool]]


@pytest.fixture
def studio(ledger: Ledger, pool: "Pool", tmp_path: Path) -> OrderFixture:
    return OrderFixture(ledger, pool, FolderBlobs(tmp_path))


@pytest.fixture
async def order(studio: OrderFixture) -> PlacedOrder:
    """Two failed jobs, a video, and one that is open."""
    order = await studio.order(await studio.seller(credits=9), 4, model=MODEL)
    for job in order.jobs[:2]:
        await studio.fail(order, job, "poison")
    await studio.finish(order.jobs[2])
    return order


@pytest.fixture
async def ask_for(login) -> AskFor:
    dashboard = await login("dashboard")

    async def ask(name: str, what: str, *targets: str, argument: str = "", why: str = WHY) -> bool:
        asked = (name, what, list(targets), argument, 0, WHO, why)
        return bool(await dashboard.fetchval(query("operation_request"), *asked))

    return ask


def runner(ledger: Ledger, pool: "Pool", **more: Any) -> OperationRunner:
    settings = load_settings()
    return OperationRunner(pool, job_steps(settings, ledger, pool) | more, asyncio.Event())


async def row(pool: "Pool", name: str) -> dict[str, Any]:
    found = await pool.fetchrow(query("operation_named"), name)
    assert found is not None
    return dict(found) | {"refused": msgspec.json.decode(found["refused"])}


async def count(pool: "Pool", type_name: str) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM events WHERE type = $1", type_name))


async def lapse(pool: "Pool") -> None:
    """The lease of who carries it out is over."""
    await pool.execute("UPDATE operations SET taken_until = '-infinity'")


async def test_what_is_refused_is_told_and_the_rest_goes_on(ask_for, order, ledger, pool):
    assert await ask_for("again-0001", "requeue", *order.jobs, "nowhere")
    assert not await ask_for("again-0001", "requeue", *order.jobs, "nowhere")  # the form came twice
    with pytest.raises(asyncpg.UniqueViolationError, match="asked for before, otherwise"):
        await ask_for("again-0001", "requeue", *order.jobs)
    assert await runner(ledger, pool).run_once() == 1
    found = await row(pool, "again-0001")
    assert (found["state"], found["done"]) == ("done", 5)
    assert [tuple(each) for each in found["refused"]] == [
        (order.jobs[2], "the job has already succeeded"),
        (order.jobs[3], "the job has not ended yet; cancel it first, or wait"),
        ("nowhere", "there is no job 'nowhere'"),
    ]
    said = "SELECT data ->> 'actor', data ->> 'reason' FROM events WHERE type = 'JobRequeued'"
    made = await pool.fetch(said)
    assert [tuple(each) for each in made] == [(WHO, WHY)] * 2
    told = {row["what"] for row in await actions(pool, WHO, None, NOW, 9)}
    assert told == {"JobRequeued", "asked for: requeue"}
    assert await runner(ledger, pool).run_once() == 0


async def test_killed_between_a_job_and_its_mark_it_is_taken_over_and_nothing_happens_twice(
    ask_for, order, ledger, pool
):
    await ask_for("again-0001", "requeue", *order.jobs[:2])
    steps = job_steps(load_settings(), ledger, pool)

    async def killed(taken: Operation, job: str, tell: Tell) -> None:
        await steps["requeue"](taken, job, tell)
        raise KilledError

    first = OperationRunner(pool, {"requeue": killed}, asyncio.Event())
    with pytest.raises(KilledError):
        await first.run_once()
    assert (await row(pool, "again-0001"))["done"] == 0 and await count(pool, "JobRequeued") == 1
    assert await runner(ledger, pool).run_once() == 0  # it is the dead one's still
    await lapse(pool)
    assert await runner(ledger, pool).run_once() == 1
    found = await row(pool, "again-0001")
    assert (found["state"], found["done"], found["refused"]) == ("done", 2, [])
    assert await count(pool, "JobRequeued") == 2


async def test_who_was_taken_over_from_marks_nothing_more(ask_for, order, ledger, pool):
    await ask_for("drop-00001", "drop", *order.jobs[:2])
    steps = job_steps(load_settings(), ledger, pool)

    async def slow(taken: Operation, job: str, tell: Tell) -> None:
        await steps["drop"](taken, job, tell)
        await lapse(pool)
        await runner(ledger, pool).run_once()

    await OperationRunner(pool, {"drop": slow}, asyncio.Event()).run_once()
    found = await row(pool, "drop-00001")
    assert (found["state"], found["done"], found["refused"]) == ("done", 2, [])
    assert await count(pool, "DeadLetterDropped") == 2


async def test_aborted_during_a_target_it_ends_before_the_next(ask_for, order, ledger, pool, login):
    dashboard = await login("dashboard")
    await ask_for("drop-00001", "drop", *order.jobs[:2])
    steps = job_steps(load_settings(), ledger, pool)

    async def meanwhile(taken: Operation, job: str, tell: Tell) -> None:
        assert await dashboard.fetchval(query("operation_abort"), "drop-00001", "user:u2")
        assert not await dashboard.fetchval(query("operation_abort"), "drop-00001", "user:u2")
        await steps["drop"](taken, job, tell)

    await OperationRunner(pool, {"drop": meanwhile}, asyncio.Event()).run_once()
    found = await row(pool, "drop-00001")
    assert (found["state"], found["done"], found["aborted_by"]) == ("aborted", 1, "user:u2")
    assert await count(pool, "DeadLetterDropped") == 1
    assert not await dashboard.fetchval(query("operation_abort"), "drop-00001", "user:u2")


async def test_aborted_while_its_process_is_frozen_it_ends_and_stays_so(ask_for, order, ledger, pool, login):
    dashboard = await login("dashboard")
    await ask_for("drop-00001", "drop", *order.jobs[:2])
    steps = job_steps(load_settings(), ledger, pool)

    async def frozen(taken: Operation, job: str, tell: Tell) -> None:
        await lapse(pool)
        assert await dashboard.fetchval(query("operation_abort"), "drop-00001", "user:u2")
        assert (await row(pool, "drop-00001"))["state"] == "aborted"
        await steps["drop"](taken, job, tell)

    await OperationRunner(pool, {"drop": frozen}, asyncio.Event()).run_once()
    assert (await row(pool, "drop-00001"))["done"] == 0
    assert await count(pool, "DeadLetterDropped") == 1 and await runner(ledger, pool).run_once() == 0


async def test_jobs_are_cancelled_and_failed_with_their_refund(ask_for, order, studio, ledger, pool):
    other = await studio.order(order.seller, 1)
    await ask_for("cancel-001", "cancel", order.jobs[3], order.jobs[2])
    await ask_for("failed-001", "fail", *other.jobs, argument="our_fault")
    await ask_for("failed-002", "fail", *other.jobs, argument="<script>")
    for _ in range(3):
        await runner(ledger, pool).run_once()
    assert (await row(pool, "cancel-001"))["refused"] == [[order.jobs[2], "the job has already succeeded"]]
    assert (await row(pool, "failed-002"))["refused"] == [
        [other.jobs[0], "there is no class of errors '<script>'"]
    ]
    for job, failure in ((order.jobs[3], "cancelled"), (other.jobs[0], "our_fault")):
        state = await ledger.read.job(job)
        assert state.failure is not None and state.failure.error_class == failure
    assert (await ledger.read.account(order.seller.account)).balance == 8  # 9 and one video


async def test_a_model_is_paused_once_and_resumed(ask_for, ledger, pool):
    await ask_for("pause-0001", "pause", MODEL)
    await runner(ledger, pool).run_once()
    await pool.execute("UPDATE operations SET state = 'running', ended_at = NULL, done = 0")  # was killed
    await runner(ledger, pool).run_once()
    await ask_for("resume-001", "resume", MODEL)
    await ask_for("pause-0002", "pause", "no-model")
    await runner(ledger, pool).run_once()
    await runner(ledger, pool).run_once()
    changes = await pool.fetch("SELECT state, actor, reason FROM model_changes ORDER BY number")
    assert [tuple(change) for change in changes] == [("paused", WHO, WHY), ("available", WHO, WHY)]
    assert "there is no model 'no-model'" in (await row(pool, "pause-0002"))["refused"][0][1]


async def test_a_person_is_erased_however_often_it_is_begun(ask_for, order, ledger, pool, tmp_path):
    settings = load_settings(forget_secret="x" * 32)
    forgetting = Forgetting(settings, pool, ledger, FolderBlobs(tmp_path))

    async def killed(taken: Operation, account: str, _: Tell) -> None:
        await ledger.execute(c.ForgetAccount(account, taken.reason, taken.actor), key=f"forget:{account}")
        raise KilledError

    async def forget(taken: Operation, account: str, _: Tell) -> None:
        await forgetting.forget(account, actor=taken.actor, reason=taken.reason)

    await ask_for("forget-001", "forget", order.seller.account)
    with pytest.raises(KilledError):
        await OperationRunner(pool, {"forget": killed}, asyncio.Event()).run_once()
    await lapse(pool)
    await OperationRunner(pool, {"forget": forget}, asyncio.Event()).run_once()
    assert (await row(pool, "forget-001"))["refused"] == []
    assert await pool.fetchval("SELECT count(*) FROM accounts") == 0
    assert await count(pool, "AccountForgotten") == 1
    assert (await ledger.read.job(order.jobs[3])).outcome == "failed"


async def test_a_rebuild_is_renewed_while_it_lasts_and_aborted_in_the_middle(ask_for, pool, monkeypatch):
    monkeypatch.setattr("services.operations.runner.KEEP_EVERY_S", 0.01)
    began, ended = asyncio.Event(), asyncio.Event()

    async def rebuild(taken: Operation, name: str, tell: Tell) -> None:
        tell("5 of 9 events")
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await ask_for("rebuild-01", "rebuild", "balances")
    running = asyncio.ensure_future(OperationRunner(pool, {"rebuild": rebuild}, asyncio.Event()).run_once())
    await began.wait()
    await pool.fetchval("SELECT ledger.abort_operation('rebuild-01', 'user:u2')")
    assert await running == 1 and ended.is_set()
    found = await row(pool, "rebuild-01")
    assert (found["state"], found["done"], found["told"]) == ("aborted", 0, "5 of 9 events")


async def test_a_process_that_stops_lets_go_at_once(ask_for, order, ledger, pool):
    await ask_for("drop-00001", "drop", *order.jobs[:2])
    stopping = asyncio.Event()
    stopping.set()
    await OperationRunner(pool, job_steps(load_settings(), ledger, pool), stopping).run_once()
    assert await runner(ledger, pool).run_once() == 1
    assert (await row(pool, "drop-00001"))["state"] == "done"


async def test_what_may_be_asked_for_is_bounded_in_the_database(ask_for, login, pool):
    dashboard = await login("dashboard")
    for what, targets in (
        ("drop", [f"j{n}" for n in range(501)]),
        ("drop", []),
        ("drop", ["j", "j"]),
        ("drop", ["j" * 200]),
        ("forget", ["a", "b"]),
        ("rebuild", ["balances", "lots"]),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="1 to 500 different jobs"):
            await ask_for("too-many-1", what, *targets)
    wrong = ("short", "drop", "x"), ("wrong-what", "grant", "x"), ("no-reason1", "drop", "")
    for name, what, why in wrong:
        with pytest.raises(asyncpg.CheckViolationError):
            await ask_for(name, what, "j", why=why)
    with pytest.raises(asyncpg.CheckViolationError):
        asked = ("operation", "drop", ["j"], "", 0, "login:x", "y")
        await dashboard.fetchval(query("operation_request"), *asked)
    for n in range(10):
        await ask_for(f"much-{n:05}", "drop", *(f"j{n}-{m}" for m in range(500)))
    with pytest.raises(asyncpg.ConfigurationLimitExceededError, match="10 operations wait, and 5000 targets"):
        await ask_for("one-more-1", "drop", "j")
    await pool.execute("UPDATE operations SET requested_at = requested_at - interval '25 hours'")
    for n in range(10):
        await ask_for(f"few-{n:06}", "forget", f"a{n}")
    await pool.execute("UPDATE operations SET state = 'aborted', ended_at = now() WHERE what = 'forget'")
    for n in range(10, 20):
        await ask_for(f"few-{n:06}", "forget", f"a{n}")
    with pytest.raises(asyncpg.ConfigurationLimitExceededError, match="20 people to be erased"):
        await ask_for("one-more-1", "forget", "a")
    with pytest.raises(asyncpg.ConfigurationLimitExceededError, match="20 operations wait"):
        await ask_for("one-more-1", "drop", "j")
    for sql in ("UPDATE operations SET actor = 'user:x'", "DELETE FROM operations", "DELETE FROM accounts"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await dashboard.execute(sql)


async def test_a_killed_maintenance_leaves_what_another_goes_on_with(
    ask_for, studio, pool, database_url, services
):
    order = await studio.order(await studio.seller(credits=60), 50, model=MODEL)
    for job in order.jobs:
        await studio.fail(order, job, "poison")
    url = own_login(database_url, "maintenance")
    first = await asyncio.to_thread(lambda: services.start("maintenance", DATABASE_URL=url, name="first"))
    await ask_for("drop-00001", "drop", *order.jobs)

    async def gone_through() -> int:
        return int((await row(pool, "drop-00001"))["done"])

    await eventually(gone_through, what="it is begun")
    first.kill()
    assert await count(pool, "DeadLetterDropped") >= await gone_through()
    await lapse(pool)
    await asyncio.to_thread(lambda: services.start("maintenance", DATABASE_URL=url, name="second"))

    async def ended() -> bool:
        return bool((await row(pool, "drop-00001"))["state"] == "done")

    await eventually(ended, what="the second goes on")
    found = await row(pool, "drop-00001")
    assert (found["done"], found["refused"]) == (50, [])
    assert await count(pool, "DeadLetterDropped") == 50
