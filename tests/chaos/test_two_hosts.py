"""Two hosts run everything beside clusters of Redis and Postgres, and one is cut off: `make chaos-ha`.

Photos and videos lie in a bucket where S3 servers are installed (`make s3` does it), else in one folder.
"""

import asyncio
import contextlib
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.local.embedded_server import EmbeddedServer
from services.local.processes import free_port
from services.migrations import migrate
from tests.chaos.test_patroni import settled
from tests.chaos.test_postgres import all_made
from tests.chaos.test_sentinel import figure
from tests.support import network_hosts, patroni, s3_servers, sentinel, servers
from tests.support.arena import arena as arenas
from tests.support.arena.arena import SERVICES, Arena
from tests.support.network_hosts import MIDDLE, Host
from tests.support.patroni import PatroniCluster
from tests.support.s3_servers import KEY, READER
from tests.support.sentinel import WatchedValkey
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos_ha, pytest.mark.timeout(1200)]

CUT_OFF_S = 60
WEB_PORT = 8080


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Host]]:
    """Two; what is started here listens where they can reach it."""
    if (why := network_hosts.missing()) is not None:
        pytest.skip(f"{why}: nobody was cut off")
    for module in (patroni, s3_servers, sentinel, arenas):
        monkeypatch.setattr(module, "HOST", MIDDLE)
    with network_hosts.hosts(2) as made:
        yield made


class Front(EmbeddedServer):
    """HAProxy before the web processes of the hosts: PUBLIC_URL."""

    name = "HAProxy"
    stop_signal = signal.SIGUSR1

    def __init__(self, folder: Path, hosts: list[Host]) -> None:
        super().__init__(folder / "front", folder / "front.log")
        self._hosts = hosts
        self.url = f"http://{MIDDLE}:{free_port(MIDDLE)}"

    def start(self) -> None:
        self.data.mkdir()
        config = self.data / "cfg"
        config.write_text(
            "\n".join([
                "defaults", " mode http", " timeout connect 3s", " timeout client 30s", " timeout server 30s",
                " retries 2", " option redispatch", "listen web", f" bind {self.url.removeprefix('http://')}",
                *(f" server {h.name} {h.address}:{WEB_PORT} check inter 1s fall 2" for h in self._hosts),
                "",
            ])
        )  # fmt: skip
        self._run(["/usr/sbin/haproxy", "-db", "-f", str(config)], None, 30)

    def _is_ready(self) -> bool:
        try:
            httpx.get(self.url, trust_env=False)
        except httpx.HTTPError:
            return False
        return True


async def test_a_host_is_cut_off_for_a_minute(
    hosts: list[Host], tmp_path: Path, dice: random.Random, note: Callable[[str], None]
) -> None:
    if (why := patroni.missing()) is not None or not shutil.which("haproxy", path="/usr/sbin"):
        pytest.skip(f"{why or 'no haproxy here'}: nothing was tried")
    with servers.short_folder() as folder:
        postgres, valkey, front = PatroniCluster(folder), WatchedValkey(folder), Front(folder, hosts)
        try:
            for started in (postgres, valkey, front):
                started.start()
            await settled(postgres)
            await eventually(lambda: asyncio.to_thread(valkey.is_settled), 120, interval_s=0.2)
            await migrate(postgres.url())
            await servers.let_operator_own(postgres.url())
            arena = Arena(tmp_path, postgres.url(servers.OPERATOR), valkey, dice, note)
            with media(folder) as blobs:
                arena.settings = arena.settings.replace(**blobs)
                own = {name.upper(): value for name, value in blobs.items()}
                await _play(arena, hosts, {"PUBLIC_URL": front.url, **own})
        finally:
            for stopped in (front, valkey, postgres):
                stopped.stop()


@contextlib.contextmanager
def media(folder: Path) -> Iterator[dict[str, str]]:
    """Settings of a bucket of its own; none where there are no servers."""
    if s3_servers.missing():
        yield {}
        return
    with s3_servers.running(folder) as server:
        yield {"blobs_url": server.url("media"), "blobs_key": KEY, "blobs_read_key": READER}


def own_folder(arena: Arena, host: Host, settings: dict[str, Any]) -> dict[str, Any]:
    """With a bucket no host sees another's disk."""
    return {"NEUROCARDS_DATA_DIR": arena.data / host.name} if "BLOBS_URL" in settings else {}


async def _play(arena: Arena, hosts: list[Host], settings: dict[str, Any]) -> None:
    async with arena.opened(0, without=SERVICES, SANDBOX_HOST=MIDDLE, SANDBOX_RENDER_SECONDS=1, **settings):
        for host in hosts:
            for service in (*SERVICES, "worker"):
                arena.begin(
                    service, name=f"{service}-{host.name}", before=host.command,
                    WEB_HOST=host.address, WEB_PORT=WEB_PORT, **own_folder(arena, host, settings),
                )  # fmt: skip
        await arena.ready(*arena.running)
        first, second = hosts

        async def cut_off() -> None:
            first.cut_off()
            await asyncio.sleep(CUT_OFF_S)  # the very thing that is played
            first.join()

        arena.notifier_died = True  # what it had just sent may be sent once more
        jobs: list[str] = []
        waits_s = []
        away = asyncio.create_task(cut_off())
        while not away.done():
            began_s = time.monotonic()
            jobs += (await arena.order()).jobs
            await arena.all_ended(jobs[-1:])
            waits_s.append(time.monotonic() - began_s)
        await away
        figure(
            f"{len(jobs)} orders one after another, a host cut off for a minute: the slowest video took",
            time.monotonic() - max(waits_s),
        )
        jobs += await arena.jobs_of(5)
        await all_made(arena, jobs)
        assert "verification_failed" not in arena.running[f"maintenance-{second.name}"].log
