"""Two versions side by side on one log: the newer one writes what the older one does not know."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from projections.engine.registry import PROJECTIONS
from projections.verify.schema_drift import NEWER
from services.platform.settings import load_settings
from services.platform.tls import tls_context
from services.rehearsal.chat_client import Sandbox, open_http
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.seller import Product, Seller, is_video, photo_of
from services.rehearsal.system import QUICK
from tests.support import fork_server
from tests.support.newer_version import MIGRATION, newer_version
from tests.support.playing import ANSWER_S, BLUE, RED
from tests.support.services import ROOT, ServiceProcess, Services, Version, clean_environment
from tests.support.waiting import eventually

READERS: Final = ("projector", "notifier", "monitor")
WRITERS: Final = ("relay", "worker", "bot")
HITCH: Final = "A technical hitch on our side"
SOON_S: Final = 20
"""A deadline that is waited for, and before which a busy machine comes to write of the job."""
HELD_S: Final = 15.0
"""A video that takes so long is not there before its worker is killed."""
_user_ids = itertools.count(700_001)


class Upgrade:
    """A system whose processes are of either version, and sellers who order from it."""

    def __init__(self, services: Services, newer: Version, log: LogWatch, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self._services = services
        self._newer = newer
        self._log = log
        self._running: dict[tuple[str, bool], ServiceProcess] = {}

    def start(self, *names: str, newer: bool = False, **env: Any) -> None:
        """All at once, until each is ready."""
        for name in names:
            called = f"{name}-{'newer' if newer else 'old'}"
            self._running[name, newer] = self._services.start(
                name, name=called, version=self._newer if newer else None, wait_s=None, **env
            )
        for name in names:
            self._running[name, newer].wait_ready()

    def stop(self, *names: str, newer: bool = False) -> None:
        """In good order; that none of them has ended by itself before."""
        for name in names:
            process = self._running.pop((name, newer))
            assert process.running, f"{process.name} had ended:\n{process.log}"
            assert process.stop() == 0

    def replace(self, *names: str, newer: bool) -> None:
        """One after another by the other version's: first the new process, then the end of the old one."""
        for name in names:
            self.start(name, newer=newer)
            self.stop(name, newer=not newer)

    def kill(self, name: str, *, newer: bool) -> None:
        self._running.pop((name, newer)).kill()

    def told_by(self, name: str, event: str, *, newer: bool = False) -> list[dict[str, Any]]:
        """Such lines of its log."""
        lines = self._running[name, newer].log.splitlines(keepends=True)
        read = [json.loads(line) for line in lines if line.endswith("}\n")]
        return [line for line in read if line["event"] == event]

    def status(self, name: str, *, newer: bool = False) -> dict[str, Any]:
        url = self._running[name, newer].health_url
        status: dict[str, Any] = httpx.get(f"{url}/health/status", verify=tls_context()).json()
        return status

    def projections(self, *, newer: bool = False) -> list[dict[str, Any]]:
        """Position, lag and why it has stopped, of each read model by its projector."""
        return [self.status("projector", newer=newer)[name] for name in PROJECTIONS]

    def command(self, *words: str, newer: bool = False) -> tuple[int, str]:
        """Exit code and output of `neurocards words`."""
        settings = self._services.env | {"DATABASE_OWNER_URL": self._services.env["DATABASE_URL"]}
        root, server = self._newer if newer else Version(ROOT)
        env = clean_environment(**settings) | {"PYTHONPATH": str(root)}
        done = fork_server.neurocards(words, cwd=self._services.folder, env=env, server=server)
        return done.returncode, done.stdout or done.stderr

    async def job_of(self, order: str) -> str | None:
        """The order's only job; None when it is not in the log."""
        asked = "SELECT substr(stream, 5) FROM events WHERE type = 'JobQueued' AND data ->> 'order' = $1"
        found: str | None = await self._log.pool.fetchval(asked, order)
        return found

    async def types(self, job: str) -> list[str]:
        return [event.type for event in await self._log.story(job)]

    async def come_to(self, order: str, event_type: str) -> str:
        """The order's job, once it has such an event."""

        async def there() -> str | None:
            job = await self.job_of(order)
            return job if job is not None and event_type in await self.types(job) else None

        return str(await eventually(there, what=f"{event_type} of order {order}"))

    async def seller(self) -> Seller:
        """Somebody who has agreed to the terms and has credits."""
        seller = Seller(self.sandbox.chat(next(_user_ids)))
        await seller.begin()
        return seller

    async def order(self, seller: Seller) -> str:
        product = Product(f"Tea cup {seller.chat.user_id}T", photo_of(RED, BLUE))
        return await seller.order(await seller.draft(product))

    async def video(self, seller: Seller, order: str) -> None:
        """The order brings one video, and nothing else, for one submission."""
        (message,) = await seller.results(order, 1, ANSWER_S)
        assert is_video(message)
        types = await self.types(await self.come_to(order, "JobSucceeded"))
        assert types.count("SubmissionIntended") == 1


@pytest.fixture
async def upgrade(services: Services, tmp_path: Path) -> AsyncIterator[Upgrade]:
    async with AsyncExitStack() as stack:
        newer = stack.enter_context(newer_version(tmp_path))
        services.env |= {**QUICK, "JOB_DEADLINE_SECONDS": 240, "FREE_CREDITS": 5}
        services.env["NEUROCARDS_DATA_DIR"] = tmp_path / "data"
        services.env["SANDBOX_URL"] = services.start("sandbox", SANDBOX_PORT=0).facts["sandbox_url"]
        env = services.env
        settings = load_settings(database_url=env["DATABASE_URL"], redis_url=env["REDIS_URL"])
        http = await stack.enter_async_context(open_http(60))
        log = await stack.enter_async_context(LogWatch(settings))
        sandbox = Sandbox(http, env["SANDBOX_URL"])
        await sandbox.change(small_videos=True)
        yield Upgrade(services, newer, log, sandbox)
        services.end()


async def test_what_the_newer_version_writes_is_left_to_it_and_everything_catches_up(
    upgrade: Upgrade,
) -> None:
    upgrade.start(*READERS, *WRITERS)
    unconcerned, waiting, refunded = [await upgrade.seller() for _ in range(3)]
    await upgrade.video(unconcerned, await upgrade.order(unconcerned))

    held, lost = await written_by_newer_writers(upgrade, waiting, refunded)
    asked_again = await met_by_the_old_version(upgrade, unconcerned, waiting)
    await refunded_by_the_old_version(upgrade, refunded, lost)

    upgrade.start("projector", newer=True)
    await eventually(lambda: up_to_date(upgrade))
    upgrade.stop("projector")
    upgrade.replace("notifier", "monitor", *WRITERS, newer=True)
    await upgrade.video(waiting, held)
    await upgrade.video(waiting, asked_again)
    assert upgrade.command("ledger", "verify", newer=True) == (0, "")

    upgrade.replace(*reversed((*READERS, *WRITERS)), newer=False)
    await upgrade.video(unconcerned, await upgrade.order(unconcerned))
    await eventually(lambda: up_to_date(upgrade))
    upgrade.stop(*READERS, *WRITERS)
    assert upgrade.command("ledger", "verify", newer=True) == (0, "")


def up_to_date(upgrade: Upgrade) -> bool:
    return {(told["stopped"], told["lag"]) for told in upgrade.projections()} == {("", 0)}


async def written_by_newer_writers(upgrade: Upgrade, waiting: Seller, refunded: Seller) -> tuple[str, str]:
    """In the worst order: those that write come first, and go again. Two orders that are not over."""
    code, said = upgrade.command("migrate", newer=True)
    assert code == 0 and MIGRATION in said, said
    upgrade.stop("worker", "bot")
    upgrade.start("worker", newer=True)
    upgrade.start("bot", newer=True, JOB_DEADLINE_SECONDS=SOON_S)
    await upgrade.sandbox.change(render_seconds=3600)
    lost = await upgrade.order(refunded)
    await upgrade.come_to(lost, "JobNoted")
    upgrade.stop("bot", newer=True)
    upgrade.start("bot", newer=True)
    await upgrade.sandbox.change(render_seconds=HELD_S)
    held = await upgrade.order(waiting)
    await upgrade.come_to(held, "SubmissionAccepted")
    upgrade.kill("worker", newer=True)
    upgrade.stop("bot", newer=True)
    await upgrade.sandbox.change(render_seconds=1)
    upgrade.start("worker", "bot")
    return held, lost


async def met_by_the_old_version(upgrade: Upgrade, unconcerned: Seller, waiting: Seller) -> str:
    """It leaves alone what it cannot read, says so, and serves who is not concerned. An order that waits."""
    await eventually(lambda: all(told["stopped"] and told["lag"] for told in upgrade.projections()))
    assert {told["kind"] for told in upgrade.told_by("projector", "projection_stopped")} == {
        "UnknownEventTypeError"
    }
    await eventually(lambda: upgrade.told_by("notifier", "events_unknown"))
    await eventually(lambda: upgrade.told_by("worker", "job_unreadable"))
    await eventually(lambda: not upgrade.status("worker")["worker"]["jobs"])
    await upgrade.video(unconcerned, await upgrade.order(unconcerned))

    asked = await upgrade.order(waiting)
    await waiting.chat.until(lambda chat: HITCH in chat.tail(), ANSWER_S, HITCH)
    assert await upgrade.job_of(asked) is None

    code, found = upgrade.command("ledger", "verify", "--output", "json")
    problems = json.loads(found)
    assert code == 3 and {problem["kind"] for problem in problems} == {"unreadable"}
    assert problems[0]["message"].startswith(NEWER) and MIGRATION in problems[0]["message"]
    return asked


async def refunded_by_the_old_version(upgrade: Upgrade, seller: Seller, order: str) -> None:
    """At its deadline, although neither job nor account can be read."""
    (message,) = await seller.results(order, 1, ANSWER_S)
    assert not is_video(message) and "credit is back" in message["text"]
    job = await upgrade.come_to(order, "JobFailed")
    assert [told["job"] for told in upgrade.told_by("monitor", "job_timed_out")] == [job]
