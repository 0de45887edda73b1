"""Dead letters: seen, made again or dropped, from the command line."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from projections.verify.run import check_ledger
from services.cli import connections
from services.cli.commands.dead_letters import actions as requeueing
from services.generation.catalogue import load_catalogue
from services.operations.jobs import drop
from services.platform.blobs import FolderBlobs
from tests.integration.services.cli.counter import WHY, Counter
from tests.support.order_fixture import OrderFixture, PlacedOrder

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

MODEL = ("--model", load_catalogue().default.slug)


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Counter:
    return Counter(tmp_path, database_url)


@pytest.fixture
async def order(ledger: Ledger, pool: "Pool", tmp_path: Path) -> PlacedOrder:
    """Two poisoned jobs, one of our own fault, one that the seller can mend, one with a video."""
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    order = await studio.order(await studio.seller(credits=5), 5)
    classes = ("poison", "poison", "our_fault", "user_violation")
    for job, error_class in zip(order.jobs, classes, strict=False):
        await studio.fail(order, job, error_class)
    await studio.finish(order.jobs[4])
    return order


async def catch_up(ledger: Ledger, pool: "Pool") -> None:
    runner = Runner(pool, JOB_STATUS)
    if events := await ledger.read.events_after((await runner.cursor()).position):
        await runner.apply(events)


async def listed(desk: Counter, ledger: Ledger, pool: "Pool", *words: str) -> set[str]:
    await catch_up(ledger, pool)
    return {row["job"] for row in await desk.rows("dead-letters", "list", *words)}


async def test_only_what_an_operator_should_look_at_is_listed(
    desk: Counter, ledger: Ledger, pool: "Pool", order: PlacedOrder
) -> None:
    assert await listed(desk, ledger, pool) == {*order.jobs[:3]}
    assert await listed(desk, ledger, pool, "--class", "our_fault") == {order.jobs[2]}
    assert await listed(desk, ledger, pool, "--of-model", "another") == set()
    assert (await desk.run("dead-letters", "list", "--class", "user_violation")).returncode == 2
    for command in ("dead-letters list", "dead-letters groups", f"jobs show {order.jobs[0]}"):
        shown = await desk.run(*command.split())
        assert shown.returncode == 0 and "the whole answer" not in shown.stdout
        assert "it refused Anna" in " ".join(shown.stdout.split()), command
    await pool.execute("DELETE FROM outside_words")
    shown = await desk.run("jobs", "show", order.jobs[0])
    assert "poison (x)" in shown.stdout and "Anna" not in shown.stdout


async def test_a_class_is_made_again_and_asking_twice_is_asking_once(
    desk: Counter, ledger: Ledger, pool: "Pool", order: PlacedOrder
) -> None:
    await catch_up(ledger, pool)
    words = ("dead-letters", "requeue", *WHY, *MODEL, "--class", "poison")
    shown = await desk.run(*words, "--dry-run")
    assert shown.returncode == 0 and "2 jobs to be made again, 0 credits" in shown.stderr
    assert (await desk.run(*words)).returncode == 2
    assert await ledger.read.open_jobs() == []
    for _ in range(2):  # the second time on a read model that has not heard of the first
        done = await desk.run(*words, "--yes")
        assert done.returncode == 0, done.stderr
        assert len(await ledger.read.open_jobs()) == 2
    assert await listed(desk, ledger, pool) == {order.jobs[2]}
    assert await check_ledger_of_jobs(pool) == []


async def test_groups_are_seen_and_one_is_made_again_as_it_was_planned(
    desk: Counter, ledger: Ledger, pool: "Pool", order: PlacedOrder, tmp_path: Path
) -> None:
    await catch_up(ledger, pool)
    groups = await desk.rows("dead-letters", "groups")
    assert [(row["failure_class"], row["jobs"], row["sellers"]) for row in groups] == [
        ("poison", 2, 1), ("our_fault", 1, 1),
    ]  # fmt: skip
    poison = groups[0]
    assert poison["first_at"] < poison["last_at"] and poison["failure_code"] == "x"
    assert "our_fault" in (await desk.run("dead-letters", "groups")).stdout
    group = ("--group", poison["group"])
    assert await listed(desk, ledger, pool, *group) == {*order.jobs[:2]}

    words = ("dead-letters", "requeue", *WHY, *MODEL)
    plan = tmp_path / "plan"
    shown = await desk.run(*words, *group, "--dry-run", "-o", "jsonl")
    plan.write_text(shown.stdout)
    assert (await desk.run(*words, *group, "--plan", str(plan), "--yes")).returncode == 2
    charged = await desk.run(*words, "--charge", "--plan", str(plan), "--yes")
    assert charged.returncode == 1 and "plan again" in charged.stderr
    for open_jobs in (2, 2):  # asked again, it has nothing to do
        done = await desk.run(*words, "--plan", str(plan), "--yes")
        assert done.returncode == 0, done.stderr
        assert len(await ledger.read.open_jobs()) == open_jobs
    (tmp_path / "other").write_text("{}")
    assert (await desk.run(*words, "--plan", str(tmp_path / "other"), "--yes")).returncode == 1


async def test_what_was_stopped_goes_on_when_it_is_asked_for_again(
    ledger: Ledger, pool: "Pool", order: PlacedOrder, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setattr(connections, "configure_command_logging", lambda *_: None)
    jobs = order.jobs[:3]

    async def stopped_at_the_second(ledger: Ledger, job: str) -> object:
        if job == jobs[1]:
            raise KeyboardInterrupt
        command, key = drop(job, "login:neurocards_operator", "seen")
        return await ledger.execute(command, key=key)

    stopped = await asyncio.to_thread(requeueing._each, jobs, stopped_at_the_second)
    assert (stopped.done, stopped.stopped) == (1, True)
    rest = await asyncio.to_thread(requeueing.drop_all, jobs, "login:neurocards_operator", "seen")
    assert (rest.done, rest.refused, rest.stopped) == (3, [], False)
    assert await pool.fetchval("SELECT count(*) FROM events WHERE type = 'DeadLetterDropped'") == 3


async def test_what_is_refused_is_left_out_and_said(
    desk: Counter, ledger: Ledger, pool: "Pool", order: PlacedOrder
) -> None:
    await catch_up(ledger, pool)
    words = ("dead-letters", "requeue", order.jobs[0], order.jobs[4], *WHY, *MODEL, "--yes")
    done = await desk.run(*words)
    assert done.returncode == 0
    assert "has already succeeded" in done.stderr and "1 of 1 made again" in done.stderr
    assert (await desk.run("dead-letters", "requeue", "nobody", *WHY, *MODEL, "--yes")).returncode == 4
    both = await desk.run("dead-letters", "requeue", order.jobs[0], "--class", "poison", *WHY, "--yes")
    assert both.returncode == 2


async def test_charging_takes_what_the_model_costs(
    desk: Counter, ledger: Ledger, pool: "Pool", order: PlacedOrder
) -> None:
    await catch_up(ledger, pool)
    before = (await ledger.read.account(order.seller.account)).balance
    words = ("dead-letters", "requeue", order.jobs[0], *WHY, *MODEL, "--charge", "--yes")
    assert (await desk.run(*words)).returncode == 0
    after = (await ledger.read.account(order.seller.account)).balance
    assert before - after == load_catalogue().default.price_credits
    assert await check_ledger_of_jobs(pool) == []


async def test_dropped_ones_are_listed_no_more(
    desk: Counter, ledger: Ledger, pool: "Pool", order: PlacedOrder
) -> None:
    await catch_up(ledger, pool)
    assert (await desk.run("dead-letters", "drop", order.jobs[0], *WHY)).returncode == 2
    for _ in range(2):
        assert (await desk.run("dead-letters", "drop", order.jobs[0], *WHY, "--yes")).returncode == 0
    assert await listed(desk, ledger, pool) == {order.jobs[1], order.jobs[2]}
    assert (await ledger.read.job(order.jobs[0])).dropped


async def check_ledger_of_jobs(pool: "Pool") -> list[str]:
    """What is wrong with the log itself; `balances` was not kept up here."""
    return [p.message for p in await check_ledger(pool) if p.kind != "projection"]
