"""What every process says of itself at /health/status while it works, and nothing of anybody's words."""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from ledger.log.ledger import Ledger
from services.generation.catalogue import load_catalogue
from services.platform.blobs import FolderBlobs, one_chunk
from services.rehearsal.chat_client import open_http
from tests.support.order_fixture import OrderFixture, PlacedOrder
from tests.support.outside import photo
from tests.support.services import ServiceProcess, Services
from tests.support.waiting import eventually

Facts = dict[str, Any]


@pytest.fixture
def system(services: Services) -> Iterator[Services]:
    """With the outside companies; services share a folder for their files."""
    services.env["NEUROCARDS_DATA_DIR"] = services.folder / "data"
    sandbox = services.start("sandbox", SANDBOX_PORT=0)
    services.env["SANDBOX_URL"] = sandbox.facts["sandbox_url"]
    httpx.post(
        f"{sandbox.facts['sandbox_url']}/__sandbox/settings",
        json={"render_seconds": 3600, "small_videos": True},
    ).raise_for_status()
    yield services


@pytest.fixture
async def order(system: Services, ledger: Ledger, pool: Any) -> PlacedOrder:
    """Two videos that nobody has begun."""
    blobs = FolderBlobs(system.folder / "data" / "blobs")
    await blobs.put("photos/p.jpg", one_chunk(photo(600, 800)), size_bytes_max=10_000_000)
    studio = OrderFixture(ledger, pool, blobs)
    return await studio.order(await studio.seller(), 2, model=load_catalogue().default.slug)


async def status(process: ServiceProcess) -> Facts:
    async with open_http() as http:
        reply = await http.get(f"{process.health_url}/health/status", timeout=60)
    assert reply.status_code == 200
    facts: Facts = reply.json()
    return facts


async def until(process: ServiceProcess, said: Callable[[Facts], object]) -> Facts:
    """The status once it says so."""

    async def says() -> Facts | None:
        facts = await status(process)
        return facts if said(facts) else None

    facts = await eventually(says, what=f"the status of {process.name}")
    assert facts is not None
    return facts


async def start(system: Services, *names: str, **env: Any) -> list[ServiceProcess]:
    return [await asyncio.to_thread(partial(system.start, name, **env)) for name in names]


async def test_a_worker_tells_its_seat_and_its_jobs_by_step(system: Services, order: PlacedOrder) -> None:
    _, worker = await start(system, "relay", "worker", WORKER_SLOTS=7)
    facts = await until(worker, lambda facts: facts["worker"]["jobs_by_step"].get("PollTask"))
    assert (facts["service"], facts["pid"], facts["state"]) == ("worker", worker.pid, "ready")
    told = facts["worker"]
    assert (told["seat"], told["slots"], told["jobs"]) == ("w1", 7, 2)
    assert sum(told["jobs_by_step"].values()) == told["jobs"] <= told["entries"]
    assert told["oldest_in_hand_s"] >= 0 and told["lease_s"] == 30
    renewed = await until(worker, lambda facts: facts["worker"]["renewed_s"] is not None)
    assert renewed["worker"]["renewed_s"] < 30


async def test_in_order_consumers_tell_where_they_are(
    system: Services, order: PlacedOrder, ledger: Ledger
) -> None:
    head = (await ledger.read.head()).position
    relay, projector, notifier = await start(system, "relay", "projector", "notifier")
    facts = await until(relay, lambda facts: facts["relay"]["position"] == head)
    assert facts["relay"] == {"position": head, "head": head, "lag": 0, "halted": ""}
    there = {"position": head, "lag": 0}
    facts = await until(projector, lambda facts: facts["job_status"]["lag"] == 0)
    assert facts["job_status"] == there | {"stopped": ""}
    assert (await until(projector, lambda facts: facts["balances"]["lag"] == 0))["balances"][
        "position"
    ] == head
    facts = await until(notifier, lambda facts: facts["notifier"]["lag"] == 0)
    assert facts["notifier"] == there
    assert await until(notifier, lambda facts: facts["deliveries"] == {"pending": 0, "sending": 0})


@pytest.mark.parametrize(
    ("service", "rounds"),
    [
        ("monitor", {"deadlines", "expiry", "far_deadlines", "append_lock"}),
        (
            "maintenance",
            {"late", "summary", "lags", "rests", "models", "unknown", "balances", "archive", "snapshots"},
        ),
    ],
)
async def test_periodic_tasks_tell_when_each_ended_well(
    system: Services, order: PlacedOrder, service: str, rounds: set[str]
) -> None:
    (process,) = await start(system, service)

    def all_done(facts: Facts) -> bool:
        return all(facts["rounds"][name]["ago_s"] is not None for name in rounds)

    facts = await until(process, all_done)
    if service == "monitor":
        return
    assert facts["rounds"]["summary"]["last"] == 2, "two jobs are open"
    assert facts["rounds"]["balances"]["last"] == 1, "one account"
    async with open_http() as http:
        metrics = (await http.get(f"{process.health_url}/metrics")).text
    assert 'neurocards_provider_balance_credits{account="' in metrics
    assert 'neurocards_jobs_in_state{state="queued"} 2.0' in metrics


async def test_a_bot_and_a_web_process_tell_what_they_have_in_hand(system: Services) -> None:
    first, web = await start(system, "bot", "web", WEB_PORT=0)
    await until(first, lambda facts: facts["has_turn"] and facts["inbox"] == 0)
    second = await asyncio.to_thread(partial(system.start, "bot", name="second"))
    assert not (await status(second))["has_turn"]
    assert (await status(web))["requests_in_flight"] == {}
    async with open_http() as http:
        public = await http.get(f"{web.facts['web_url']}/health/status")
    assert public.status_code == 404, "what we are doing is not for everyone"
