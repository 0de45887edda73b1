"""`neurocards models`: what stands, and what an operator changes with a name and a reason."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.log.ledger import Ledger
from services.cli.errors import ExitCode
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook
from services.platform.blobs import FolderBlobs
from services.sandbox import control, kie
from tests.integration.services.cli.conftest import Run
from tests.support.fork_server import neurocards
from tests.support.order_fixture import OrderFixture
from tests.support.outside import outside
from tests.support.services import clean_environment

CATALOGUE = load_catalogue()
MODEL, ALTERNATIVE = (model.slug for model in CATALOGUE.candidates(CATALOGUE.default)[:2])
WHY = ("--reason", "ugly videos")


class Desk:
    """Runs `neurocards models …` without a terminal."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._env = clean_environment(DATABASE_URL=database_url)

    async def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, ("models", *words), cwd=self._folder, env=self._env)

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        done = await self.run(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    async def listed(self) -> dict[str, dict[str, Any]]:
        return {row["model"]: row for row in await self.rows("list")}


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Desk:
    return Desk(tmp_path, database_url)


async def test_an_operator_pauses_and_resumes_a_model(desk: Desk, pool: Any) -> None:
    assert (await desk.listed())[MODEL]["state"] == "available"
    shown = await desk.run("pause", MODEL, *WHY, "--dry-run")
    assert shown.returncode == 0 and "nothing was changed" in shown.stderr
    assert (await desk.run("pause", MODEL, *WHY)).returncode == 2, "nobody to ask"
    assert (await desk.listed())[MODEL]["state"] == "available"

    done = await desk.run("pause", MODEL, *WHY, "--yes")
    assert done.returncode == 0 and "obeys within seconds" in done.stderr
    row = (await desk.listed())[MODEL]
    assert (row["state"], row["set_by"], row["reason"], row["until"]) == (
        "paused",
        "login:neurocards_operator",
        "ugly videos",
        None,
    )
    assert row["alternative"] == ALTERNATIVE and row["since"]
    again = await desk.run("pause", MODEL, "--reason", "me too", "--yes")
    assert again.returncode == 0 and "already" in again.stderr

    assert (await desk.run("resume", MODEL, "--reason", "better", "--yes")).returncode == 0
    assert "already" in (await desk.run("resume", MODEL, *WHY, "--yes")).stderr
    history = [(row["state"], row["actor"], row["reason"]) for row in await desk.rows("history", MODEL)]
    assert history == [
        ("available", "login:neurocards_operator", "better"),
        ("paused", "login:neurocards_operator", "ugly videos"),
    ]
    assert (await desk.run("history", "another/model")).returncode == 4


async def test_a_providers_pause_is_shown_and_can_be_resumed(
    desk: Desk, pool: Any, ledger: Ledger, tmp_path: Path
) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    (job,) = (await studio.order(await studio.seller())).jobs
    await CircuitBook(pool).report(MODEL, "paused", job, 1, "This interface is temporarily paused.")
    row = (await desk.listed())[MODEL]
    assert (row["state"], row["set_by"], row["alternative"]) == ("paused", "provider", ALTERNATIVE)
    assert "temporarily" in row["reason"] and row["until"] > row["since"]
    assert (await desk.run("resume", MODEL, *WHY, "--yes")).returncode == 0
    assert (await desk.listed())[MODEL]["state"] == "available"


async def test_the_list_knows_what_is_not_offered_and_what_nobody_knows_is_not_found(desk: Desk) -> None:
    listed = await desk.listed()
    assert set(listed) == {model.slug for model in CATALOGUE.models}
    assert listed["sora-2-image-to-video"]["state"] == "not offered"
    missing = await desk.run("pause", "no/such-model", *WHY, "--yes")
    assert missing.returncode == 4 and "models list" in missing.stderr


async def test_the_effect_on_open_jobs_is_shown_first(
    desk: Desk, pool: Any, ledger: Ledger, tmp_path: Path
) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    await CircuitBook(pool).resume("m", "ann", "known from now on")
    await CircuitBook(pool).pause("m", "ann", "known from now on")
    await studio.order(await studio.seller(), 3)
    (row,) = await desk.rows("resume", "m", *WHY, "--dry-run")
    assert (row["state_before"], row["state_after"], row["open_jobs"]) == ("paused", "available", 3)


async def test_the_catalogue_is_compared_with_what_the_provider_tells(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {"/kie": kie.routes, "/__sandbox": control.routes}
    ours = load_catalogue()
    async with outside(modules) as sandbox:
        rates = {"SANDBOX_URL": sandbox.url, "MARGIN_RATES": "RUB=1,KIE=0.45"}
        done = await asyncio.to_thread(run, "models", "check", "-o", "json", **rates)
        assert done.code == 0, done.err
        offered = [model.slug for model in ours.models if model.enabled]
        assert [row["model"] for row in done.rows] == offered and {row["differs"] for row in done.rows} == {
            ""
        }
        assert done.rows[0]["margin_minor"] == 4990 - 4500  # a credit of the cheapest package, 100 of KIE's
        dearer = (msgspec.structs.replace(ours.models[0], provider_credits=99), *ours.models[1:])
        changed = msgspec.structs.replace(ours, models=dearer)
        monkeypatch.setattr("services.generation.catalogue.load_catalogue", lambda: changed)
        done = await asyncio.to_thread(run, "models", "check", ours.models[0].slug, "-o", "json", **rates)
        assert done.code == ExitCode.INTEGRITY and ours.models[0].slug in done.err
        (row,) = done.rows
        assert row["differs"] == "price: ours is 99 for 5 s; 720p: 20 credits per second."
