"""Jobs seen and ended from the command line."""

import json
from pathlib import Path

import pytest

from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from services.generation.catalogue import load_catalogue
from services.platform.blobs import FolderBlobs
from tests.integration.services.cli.counter import WHY, Counter
from tests.support.order_fixture import OrderFixture


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Counter:
    return Counter(tmp_path, database_url)


async def test_jobs_are_listed_newest_first_and_filtered(
    desk: Counter, ledger: Ledger, pool, tmp_path: Path
) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    one, other = await studio.seller(), await studio.seller()
    first, second = await studio.order(one, 2), await studio.order(other)
    await studio.finish(first.jobs[0])
    await studio.fail(first, first.jobs[1], "transient")
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0))

    listed = await desk.rows("jobs", "list")
    assert {row["job"] for row in listed} == {*first.jobs, *second.jobs}
    assert listed[0]["job"] == second.jobs[0]
    assert [row["job"] for row in await desk.rows("jobs", "list", "--state", "open")] == [*second.jobs]
    assert [row["job"] for row in await desk.rows("jobs", "list", "--class", "transient")] == [first.jobs[1]]
    assert {row["job"] for row in await desk.rows("jobs", "list", "--user", one.account)} == {*first.jobs}
    assert await desk.rows("jobs", "list", "--from", "2999-01-01") == []
    assert (await desk.run("jobs", "show", first.jobs[0])).returncode == 0


async def test_cancelling_refunds_once_and_stands_in_the_ledger_with_its_actor(
    desk: Counter, ledger: Ledger, pool, tmp_path: Path
) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    seller = await studio.seller(credits=5)
    (job,) = (await studio.order(seller, price=2)).jobs
    await studio.start(job)
    await studio.submit(job, task="t1")
    shown = await desk.run("jobs", "cancel", job, *WHY, "--dry-run")
    assert shown.returncode == 0 and "given free" in shown.stderr
    assert (await desk.run("jobs", "cancel", job, *WHY)).returncode == 2
    done = await desk.run("jobs", "cancel", job, *WHY, "--yes")
    assert done.returncode == 0 and "2 credits came back" in done.stderr
    state = await ledger.read.job(job)
    assert state.failure is not None and state.failure.error_class == "cancelled"
    failed = (await ledger.read.stream(f"job-{job}"))[-1]
    assert json.loads(failed.data)["actor"] == "login:neurocards_operator"
    assert (await ledger.read.account(seller.account)).balance == 5

    again = await desk.run("jobs", "cancel", job, *WHY, "--yes")
    assert again.returncode == 1 and "already failed" in again.stderr
    assert (await desk.run("jobs", "cancel", "nobody", *WHY, "--yes")).returncode == 4


async def test_failing_by_hand_says_the_words_of_its_class(
    desk: Counter, ledger: Ledger, pool, tmp_path: Path
) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    (job,) = (await studio.order(await studio.seller())).jobs
    assert (await desk.run("jobs", "fail", job, *WHY, "--class", "bad_luck", "--yes")).returncode == 2
    done = await desk.run("jobs", "fail", job, *WHY, "--class", "bad_image", "--yes")
    assert done.returncode == 0 and "1 credits came back" in done.stderr
    state = await ledger.read.job(job)
    assert state.failure is not None and state.failure.error_class == "bad_image"
    assert await ledger.read.open_jobs() == []


async def test_a_failed_job_is_made_again_once(desk: Counter, ledger: Ledger, pool, tmp_path: Path) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    seller = await studio.seller(credits=5)
    order = await studio.order(seller, price=2)
    (job,) = order.jobs
    slug = ("--model", load_catalogue().default.slug)
    early = await desk.run("jobs", "retry", job, *WHY, *slug, "--yes")
    assert early.returncode == 1 and "not ended" in early.stderr
    await studio.fail(order, job)
    odd = await desk.run("jobs", "retry", job, *WHY, "--yes")  # made of a model that is not in the catalogue
    assert odd.returncode == 1 and "--model" in odd.stderr
    assert (await desk.run("jobs", "retry", job, *WHY, *slug, "--dry-run")).returncode == 0
    assert (await desk.run("jobs", "retry", job, *WHY, *slug)).returncode == 2
    assert await ledger.read.open_jobs() == []
    assert (await desk.run("jobs", "retry", job, *WHY, *slug, "--yes")).returncode == 0
    (fresh,) = await ledger.read.open_jobs()
    again = await desk.run("jobs", "retry", job, *WHY, *slug, "--yes")
    assert again.returncode == 1 and fresh.job in again.stderr
    assert (await ledger.read.account(seller.account)).balance == 5
    state = await ledger.read.job(fresh.job)
    assert state.queued is not None and (state.price, state.queued.requeue_of) == (0, job)
    assert (await desk.run("jobs", "retry", "nobody", *WHY, *slug, "--yes")).returncode == 4
