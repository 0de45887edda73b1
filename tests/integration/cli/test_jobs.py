"""Jobs seen and ended from the command line."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ledger.log import Ledger
from projections.job_status import JOB_STATUS
from projections.runner import Runner
from services.shared.blobs import FolderBlobs
from tests.support.services import clean_environment
from tests.support.studio import Studio
from tests.support.zygote import neurocards

WHY = ("--reason", "asked by the seller", "--actor", "support-1")


class Desk:
    """Runs `neurocards jobs …` without a terminal."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._env = clean_environment(DATABASE_URL=database_url)

    async def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, ("jobs", *words), cwd=self._folder, env=self._env)

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        done = await self.run(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Desk:
    return Desk(tmp_path, database_url)


async def test_jobs_are_listed_newest_first_and_filtered(
    desk: Desk, ledger: Ledger, pool, tmp_path: Path
) -> None:
    studio = Studio(ledger, pool, FolderBlobs(tmp_path))
    one, other = await studio.seller(), await studio.seller()
    first, second = await studio.order(one, 2), await studio.order(other)
    await studio.finish(first.jobs[0])
    await studio.fail(first, first.jobs[1], "transient")
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after(0))

    listed = await desk.rows("list")
    assert {row["job"] for row in listed} == {*first.jobs, *second.jobs}
    assert listed[0]["job"] == second.jobs[0]
    assert [row["job"] for row in await desk.rows("list", "--state", "open")] == [*second.jobs]
    assert [row["job"] for row in await desk.rows("list", "--class", "transient")] == [first.jobs[1]]
    assert {row["job"] for row in await desk.rows("list", "--user", one.account)} == {*first.jobs}
    assert await desk.rows("list", "--from", "2999-01-01") == []
    assert (await desk.run("show", first.jobs[0])).returncode == 0


async def test_cancelling_refunds_once_and_stands_in_the_ledger_with_its_actor(
    desk: Desk, ledger: Ledger, pool, tmp_path: Path
) -> None:
    studio = Studio(ledger, pool, FolderBlobs(tmp_path))
    seller = await studio.seller(credits=5)
    (job,) = (await studio.order(seller, price=2)).jobs
    await studio.start(job)
    await studio.submit(job, task="t1")
    shown = await desk.run("cancel", job, *WHY, "--dry-run")
    assert shown.returncode == 0 and "given free" in shown.stderr
    assert (await desk.run("cancel", job, *WHY)).returncode == 2
    done = await desk.run("cancel", job, *WHY, "--yes")
    assert done.returncode == 0 and "2 credits came back" in done.stderr
    state = await ledger.read.job(job)
    assert state.failure is not None and state.failure.error_class == "cancelled"
    failed = (await ledger.read.stream(f"job-{job}"))[-1]
    assert json.loads(failed.data)["actor"] == "support-1"
    assert (await ledger.read.account(seller.account)).balance == 5

    again = await desk.run("cancel", job, *WHY, "--yes")
    assert again.returncode == 1 and "already failed" in again.stderr
    assert (await desk.run("cancel", "nobody", *WHY, "--yes")).returncode == 4
