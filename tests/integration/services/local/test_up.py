"""`neurocards up` as a person runs it: starts from nothing, survives being killed, leaves nothing behind."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from services.cli.commands.serve import Service
from services.local import processes
from services.migrations.logins import LOGINS
from services.platform.redis import command_client
from services.platform.settings import load_settings
from services.platform.settings_secrets import SECRETS
from services.recovery.checkpoint_files import make_key
from tests.support.fork_server import neurocards
from tests.support.servers import fresh_cluster, short_folder
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import eventually_now


class Started:
    """One `neurocards up`."""

    def __init__(self, folder: Path, *arguments: str, env_file: str = "", **env: Any) -> None:
        self.folder = folder
        (folder / ".env").write_text(env_file)
        env = {
            "PYTHONPATH": ROOT,
            "NEUROCARDS_DATA_DIR": folder / "data",
            "SANDBOX_PORT": 0,
            "WEB_PORT": 0,
            "DASHBOARD_PORT": 0,
        } | env
        self._words = (folder / "words").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.cli", "up", "-o", "json", *arguments],
            cwd=folder, env=clean_environment(**env), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self._words, text=True, start_new_session=True,
        )  # fmt: skip
        self.facts: dict[str, Any] = {}

    def wait_ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"up ended with code {self.process.wait(60)}:\n{self.words}"
        self.facts = json.loads(line)
        return self.facts

    @property
    def words(self) -> str:
        return (self.folder / "words").read_text()

    def current_pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.folder / "data/run/up.json").read_text())["pids"]
        return found

    def stop(self, signum: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(60)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()
        self._words.close()


Start = Callable[..., Started]


@pytest.fixture
def start() -> Iterator[Start]:
    """Over a database folder that is there already; that it starts from nothing the running system shows."""
    with short_folder() as folder:
        (folder / "data").mkdir(mode=0o711)
        fresh_cluster(folder / "data/postgres")
        running: list[Started] = []

        def start(*arguments: str, from_nothing: bool = False, **env: Any) -> Started:
            if from_nothing:  # a new cluster asks for passwords
                shutil.rmtree(folder / "data/postgres")
            running.append(Started(folder, *arguments, **env))
            return running[-1]

        yield start
        for started in running:
            started.close()
        pids = {pid for started in running for pid in started.facts.get("pids", {}).values()}
        eventually_now(lambda: not any(processes.alive(pid) for pid in pids), what="everything to end")


async def _applied(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM schema_migrations"))
    finally:
        await connection.close()


async def test_infra_only_gives_migrated_databases_and_stops_cleanly(start: Start) -> None:
    up = start("--infra-only")
    facts = up.wait_ready()
    assert {"database_url", "redis_url", "web_url", "sandbox_url", "pids"} <= set(facts)
    assert set(facts["pids"]) == {"postgres", "valkey"}
    assert "Ctrl-C stops them" in up.words
    assert await _applied(facts["database_url"]) > 2
    async with command_client(load_settings(redis_url=facts["redis_url"])) as client:
        assert await client.ping()
    assert up.stop(signal.SIGINT) == 0
    assert not any(processes.alive(pid) for pid in facts["pids"].values())
    assert "Traceback" not in up.words


def test_two_on_one_folder_is_refused_with_a_way_out(start: Start) -> None:
    first = start("--infra-only")
    first.wait_ready()
    second = start("--infra-only")
    assert second.process.wait(60) == 1
    assert f"pid {first.process.pid}" in second.words and "NEUROCARDS_DATA_DIR" in second.words
    assert first.process.poll() is None


async def test_after_kill_9_the_next_start_has_the_data(start: Start) -> None:
    killed = start("--infra-only")
    url = killed.wait_ready()["database_url"]
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO accounts (account, telegram_id) VALUES ('kept', 1)")
    await connection.close()
    key = killed.folder / "data/keys/checkpoint.key"
    signs = key.read_text()
    assert key.stat().st_mode & 0o077 == 0 and signs.strip() not in killed.words
    killed.process.kill()
    killed.process.wait(60)
    env = clean_environment(NEUROCARDS_DATA_DIR=killed.folder / "data", PYTHONPATH=ROOT)
    asked = neurocards(["ledger", "balance", "1"], cwd=killed.folder, env=env)
    assert f"`neurocards up` (pid {killed.process.pid}) on" in asked.stderr and "was killed" in asked.stderr
    again = start("--infra-only")  # at once, while the old servers may still be on their way out
    facts = again.wait_ready()
    connection = await asyncpg.connect(facts["database_url"])
    assert await connection.fetchval("SELECT count(*) FROM accounts") == 1
    await connection.close()
    assert key.read_text() == signs
    assert set(facts["pids"].values()).isdisjoint(killed.facts["pids"].values())


async def test_a_server_that_dies_comes_back_at_the_same_address(start: Start) -> None:
    up = start("--infra-only")
    facts = up.wait_ready()
    os.kill(facts["pids"]["postgres"], signal.SIGKILL)
    os.kill(facts["pids"]["valkey"], signal.SIGKILL)
    eventually_now(lambda: up.words.count("server_restarted") == 2, what="both servers to be started again")
    assert await _applied(facts["database_url"]) > 2
    async with command_client(load_settings(redis_url=facts["redis_url"])) as client:
        assert await client.ping()


def test_configured_databases_are_used_and_not_started(
    start: Start, database_url: str, redis_url: str
) -> None:
    up = start("--infra-only", DATABASE_URL=database_url, REDIS_URL=redis_url)
    facts = up.wait_ready()
    assert (facts["database_url"], facts["redis_url"], facts["pids"]) == (database_url, redis_url, {})


def test_a_configured_port_that_is_taken_is_named(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = start(SANDBOX_PORT=port)
        assert up.process.wait(60) == 1
        databases = start("--infra-only", SANDBOX_PORT=port)
        assert databases.wait_ready()["sandbox_url"] is None, "which listens nowhere"
    assert f"SANDBOX_PORT: port {port} is taken" in up.words and "Traceback" not in up.words


PLANTED = {
    "bot_token": "1234567:planted-token",
    "kie_api_keys": "planted-kie-1,planted-kie-2",
    "openai_proxy": "http://u:planted-proxy@127.0.0.1:9",
    "yookassa_shop_id": "424242424",
    "yookassa_secret_key": "test_planted-yookassa",
    "blobs_key": "ID:planted-writing",
    "blobs_read_key": "ID:planted-reading",
    "notes_bucket_key": "ID:planted-notes",
    "callback_secret": "planted-callback-secret",
    "kie_webhook_hmac_key": "planted-hmac",
    "forget_secret": "planted-forget-secret",
    "admin_ids": "987654321",
    "notes_chat_id": "-100737373737",
    "notes_mail_to": "planted-auditor@example.org",
    "smtp_url": "smtp://u:planted-mail@127.0.0.1:9",
    "otel_exporter_otlp_headers": "key=planted-otel",
    "audit_database_url": "postgresql://planted-audit@x/y",
}
"""All but OpenAI's key, so that the sandbox runs beside companies that are real."""


async def _of_login(url: str, query: str) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [row[0] for row in await connection.fetch(query)]
    finally:
        await connection.close()


def found_in_memory(pid: int, values: dict[str, str]) -> set[str]:
    """Which of the values stand anywhere in what the process may write to: its environment, heap, stacks."""
    found = set()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, _, _, _, *path = line.split(maxsplit=5)
            if not rights.startswith("rw") or (path and not path[0].startswith("[")):
                continue
            begin, end = (int(number, 16) for number in place.split("-"))
            memory.seek(begin)
            piece = memory.read(end - begin)
            planted = b"planted" in piece
            found |= {
                name for name, value in values.items()
                if (planted or "planted" not in value) and value.encode() in piece
            }  # fmt: skip
    return found


@pytest.mark.slow
async def test_every_process_has_its_own_secrets_and_login_and_no_others(
    start: Start, tmp_path: Path
) -> None:
    """By their values, under whatever name; half of them stand in `.env`, which no child reads."""
    key = tmp_path / "signing-key"
    make_key(key, "planted/log")
    secrets = PLANTED | {"checkpoint_key_file": str(key)}
    in_file, in_environment = list(secrets)[::2], list(secrets)[1::2]
    nowhere = {f"{name}_API_URL": "http://127.0.0.1:9" for name in ("TELEGRAM", "KIE", "YOOKASSA")}
    up = start(
        from_nothing=True,
        env_file="".join(f"{name.upper()}={secrets[name]}\n" for name in in_file),
        **nowhere
        | {name if name == "forget_secret" else name.upper(): secrets[name] for name in in_environment},
    )
    facts = up.wait_ready()
    passwords = {
        name: (up.folder / f"data/logins/{name}/pgpass").read_text().strip().rpartition(":")[2]
        for name in LOGINS
    }
    assert "new-password" in (await asyncio.to_thread(httpx.get, facts["dashboard_link"])).text
    owners = urlsplit(facts["database_owner_url"]).password
    assert owners and set(facts["pids"]) == {"postgres", "valkey", "sandbox", *LOGINS} - {"operator"}
    os.kill(facts["pids"]["monitor"], signal.SIGKILL)  # one that is started again could read more than before
    ready = up.folder / "data/run/monitor.json"
    eventually_now(lambda: ready.exists() and f'"pid": {facts["pids"]["monitor"]},' not in ready.read_text())
    pids = up.current_pids()
    parent = int(Path(f"/proc/{pids['relay']}/stat").read_text().rpartition(")")[2].split()[1])
    assert parent != up.process.pid, "which knows everything"
    secrets |= {login: password for login, password in passwords.items()} | {"owner": owners}
    secrets["redis_url"] = facts["redis_url"].partition("?")[0]
    for name, pid in {**pids, "parent": parent}.items():
        own = {field for field in secrets if name in SECRETS.get(field, ())}
        there = Path(f"/proc/{pid}/environ").read_bytes()
        assert not {field for field, value in secrets.items() if value.encode() in there}, name
        if name in ("postgres", "valkey"):
            continue
        found = found_in_memory(pid, secrets) - {name}  # its own password, if it has just read the file
        assert found == own, name
        if name in LOGINS:
            url = facts["database_url"].replace(LOGINS["operator"], LOGINS[name])
            url = url.replace("/logins/operator/", f"/logins/{name}/")
            assert await _of_login(url, "SELECT session_user") == [LOGINS[name]]
            roles = "SELECT rolname FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')"
            more = {"neurocards_reader"} | ({"neurocards_app"} if name != "dashboard" else set())
            assert set(await _of_login(url, roles)) == {LOGINS[name]} | more
    started = (
        "SELECT data ->> 'process' FROM events WHERE type = 'SystemStarted' AND data ->> 'settings' <> ''"
    )
    told = await _of_login(facts["database_url"], started)
    assert set(told) == {"bot", "dashboard", "maintenance", "monitor", "web", "worker"}


@pytest.mark.chaos
def test_everything_starts_heals_and_stops(start: Start) -> None:
    up = start("--workers", "2", SANDBOX_RENDER_SECONDS=1)
    facts = up.wait_ready()
    expected = {service.value for service in Service} - {"worker"} | {"worker-1", "worker-2"}
    assert set(facts["pids"]) == expected | {"postgres", "valkey"}
    assert httpx.get(facts["chat_url"], timeout=60).status_code == 200
    with httpx.Client(
        timeout=60, follow_redirects=True, headers={"Sec-Fetch-Site": "same-origin"}
    ) as browser:
        assert browser.post(facts["dashboard_link"]).url.path == "/", "in the sandbox a link alone lets in"
        assert browser.post(facts["dashboard_link"]).status_code == 410
    signed = up.folder / "data/checkpoints"
    eventually_now(lambda: list(signed.glob("checkpoint-*.note")), what="the monitor signs the log")

    os.kill(facts["pids"]["relay"], signal.SIGKILL)
    eventually_now(
        lambda: up.current_pids()["relay"] != facts["pids"]["relay"], what="the relay to be restarted"
    )
    assert "relay was killed by SIGKILL; starting it again" in up.words

    pids = set(up.current_pids().values())
    assert up.stop(signal.SIGINT) == 0, up.words
    assert not any(processes.alive(pid) for pid in pids)
