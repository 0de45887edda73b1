"""docker-compose.yml without Docker: its commands, with its environments and health checks, as processes."""

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import yaml

from services.cli.commands.serve import READS, Service
from services.local.binaries import find_postgres
from services.local.postgres import EmbeddedPostgres
from services.local.processes import free_port
from services.local.valkey import EmbeddedValkey
from services.migrations.logins import LOGINS
from services.platform.settings import Settings, load_settings, variable_name
from services.platform.settings_secrets import SECRETS
from services.recovery.checkpoint_files import made_here
from tests.support.compose import Container, Network, in_order, load
from tests.support.services import ROOT
from tests.support.waiting import eventually

WATCHING = {"prometheus", "alertmanager", "grafana", "jaeger"}
SERVERS = {"postgres", "valkey"} | WATCHING
ONCE = {"migrate"}
BACKUPS = {"backup", "backup-folder"}
"""Run by hand, or to make a volume; tests/integration/services/local/test_backups.py plays what they do."""
COMMANDS = {"cli"}
OTHERS = SERVERS | ONCE | BACKUPS | COMMANDS
HELD = "/logins"
"""Below it each process finds its own password."""


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run our image and stay."""
    return {name: service for name, service in compose["services"].items() if name not in OTHERS}


def test_every_process_is_there_once_and_may_be_many() -> None:
    services = ours(load())
    assert {name: service["command"] for name, service in services.items()} == {
        service.value: ["serve", service.value] for service in Service
    }
    several = {name: service["scale"] for name, service in services.items() if "scale" in service}
    assert several == {"worker": 3, "relay": 2, "projector": 2}
    for name, service in services.items():
        assert "container_name" not in service and "INSTANCE_NAME" not in service["environment"], name


def test_every_process_has_a_health_check_waits_for_what_it_needs_and_restarts() -> None:
    services = ours(load())
    for name, service in services.items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        if name != "sandbox":
            assert service["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
            assert service["depends_on"]["postgres"]["condition"] == "service_healthy"
        if name == "monitor":
            assert service["depends_on"].keys() == {"migrate", "postgres"}
        elif name != "sandbox":
            assert service["depends_on"]["valkey"]["condition"] == "service_healthy"
            assert service["depends_on"]["sandbox"]["required"] is False


def test_nothing_has_more_rights_than_it_needs() -> None:
    compose = load()
    for name, service in compose["services"].items():
        if name in SERVERS | BACKUPS:
            continue
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
    for name, service in compose["services"].items():
        if name != "backup-folder":
            assert service["mem_limit"] and service["pids_limit"], name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to the network"
    assert re.search(r"^USER (?!0|root)", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)


def test_each_process_has_its_own_login_and_sees_its_own_password_alone() -> None:
    services = load()["services"]
    migrated = services["migrate"]
    assert migrated["command"] == ["migrate", "--logins", HELD]
    assert held(migrated) == {f"login-{name}": f"{HELD}/{name}" for name in LOGINS}
    dockerfile = (ROOT / "docker/Dockerfile").read_text()
    assert all(f" {HELD}/{name}" in dockerfile for name in LOGINS), "a new volume would belong to root"
    for name in services.keys() - SERVERS - {"migrate", "backup-folder", "sandbox"}:
        process = "operator" if name in COMMANDS | BACKUPS else name.partition("-")[0]
        assert held(services[name]) == {f"login-{process}": f"{HELD}/{process}"}, name
        url = f"postgresql://{LOGINS[process]}@postgres:5432/neurocards?passfile={HELD}/{process}/pgpass"
        assert services[name]["environment"]["DATABASE_URL"] == url, name
    owners = {name for name in services if "database_owner_url" in services[name].get("secrets", ())}
    assert owners == {"migrate", "backup"}
    assert not held(services["sandbox"]) and "DATABASE_URL" not in services["sandbox"]["environment"]


def held(service: Mapping[str, Any]) -> dict[str, str]:
    """The volumes with passwords that a container sees, and where."""
    volumes = dict(volume.split(":")[:2] for volume in service.get("volumes", ()))
    return {name: folder for name, folder in volumes.items() if folder.startswith(HELD)}


def test_the_databases_keep_what_they_were_given() -> None:
    services = load()["services"]
    postgres, valkey = services["postgres"], services["valkey"]
    assert "synchronous_commit=on" in postgres["command"]
    assert any(volume.startswith("postgres:") for volume in postgres["volumes"])
    words = valkey["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--maxmemory-policy"] == "noeviction"
    assert valkey["healthcheck"] and postgres["healthcheck"]


def test_the_sandbox_is_a_profile_and_needs_no_keys() -> None:
    compose = load()
    profiles = {
        name: service["profiles"] for name, service in compose["services"].items() if "profiles" in service
    }
    watching = {name: ["traces" if name == "jaeger" else "alerts"] for name in WATCHING}
    assert profiles == {"sandbox": ["sandbox"], "backup": ["backup"], "cli": ["cli"]} | watching
    assert not any(
        re.search(r"\$\{\w+:?\?", line) for line in (ROOT / "docker-compose.yml").read_text().splitlines()
    )
    known = {variable_name(field) for field in Settings.model_fields}
    for name, service in ours(compose).items():
        assert set(service["environment"]) <= known, name


def test_whoever_watches_is_pinned_has_few_rights_and_sees_every_process() -> None:
    compose = load()
    for name in WATCHING:
        service = compose["services"][name]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"]), name
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped", name
        folders = [volume.split(":") for volume in service.get("volumes", ()) if volume.startswith("./")]
        assert all((ROOT / folder).is_dir() and mode == "ro" for folder, _, mode in folders), name
    scraped = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())["scrape_configs"][0]
    port = compose["services"]["relay"]["environment"]["HEALTH_PORT"]
    (asked,) = scraped["dns_sd_configs"]
    assert (asked["type"], str(asked["port"])) == ("A", port)
    assert set(asked["names"]) == ours(compose).keys() - {"sandbox"}
    assert scraped["relabel_configs"] == [{"source_labels": ["__meta_dns_name"], "target_label": "service"}]


def test_each_process_gets_its_own_secrets_and_commands_get_all() -> None:
    """What `neurocards up` gives by the same table: tests/integration/services/local/test_up.py."""
    compose = load()
    services, files = compose["services"], compose["secrets"]
    assert files == {name: {"file": f"./secrets/{name}"} for name in files}
    secret = files.keys() & SECRETS.keys() - {"database_owner_url"}
    ids = {field for field in SECRETS if field.endswith(("_id", "_ids", "_to"))}
    plain = ids | {"database_url", "redis_url"}
    unused = {"audit_database_url", "database_direct_url", "checkpoint_key_file", "database_owner_url"}
    assert secret | plain | unused == SECRETS.keys()
    for name, service in ours(compose).items():
        expected = {field for field, given in SECRETS.items() if service["command"][1] in given}
        assert set(service["secrets"]) == expected & secret, name
        there = service["environment"].keys() & {variable_name(field) for field in SECRETS}
        assert there == {variable_name(field) for field in expected & plain}, name
    asked = {field for field, given in SECRETS.items() if given}
    assert set(services["cli"]["secrets"]) == asked & secret
    assert {variable_name(field) for field in asked & plain} <= services["cli"]["environment"].keys()
    beside = {name: secret & set(services[name].get("secrets", ())) for name in SERVERS | BACKUPS}
    assert {name: found for name, found in beside.items() if found} == {"backup": {"blobs_key"}}
    shown = {name.lower() for service in services.values() for name in service.get("environment", ())}
    assert not shown & files.keys(), "a secret in an environment is seen by whoever may look at containers"
    monitor = services["monitor"]["environment"].keys()
    assert monitor <= {variable_name(field) for field in READS[Service.monitor]} | {"SECRETS_DIR"}
    signing = {name for name, service in services.items() if "keys:/data/keys" in service.get("volumes", ())}
    assert signing == {"maintenance"} | BACKUPS - {"backup-folder"} | COMMANDS
    assert " /data/keys " in (ROOT / "docker/Dockerfile").read_text(), "a new volume would belong to root"
    assert made_here(load_settings(data_dir="/data")) == Path("/data/keys/checkpoint.key")


def test_the_image_copies_what_is_there_and_starts_our_command() -> None:
    text = (ROOT / "docker/Dockerfile").read_text()
    sources = [
        word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for word in line.split()
    ]
    assert {"events", "ledger", "projections", "services", "requirements.lock"} <= set(sources)
    assert all((ROOT / source).exists() for source in sources)
    ignore = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignore and all(f"!{source}" in ignore for source in sources)
    assert 'ENTRYPOINT ["neurocards"]' in text
    assert 'neurocards = "services.cli.__main__:main"' in (ROOT / "pyproject.toml").read_text()


class LocalNetwork(Network):
    """With the logins' passwords in a folder of this machine."""

    def translate(self, env: Mapping[str, Any], volume: str) -> dict[str, str]:
        nobody = "postgresql://nobody:x@postgres:5432/neurocards"
        translated = super().translate({**env, "DATABASE_URL": nobody}, volume)
        del translated["DATABASE_URL"]
        return translated | {name: self._url(env[name]) for name in env if name.startswith("DATABASE_")}

    def told(self, name: str, secret: str) -> str:
        return self._url(secret) if name == "database_owner_url" else secret

    def _url(self, url: str) -> str:
        found = re.fullmatch(r"postgresql://(\w+)(?::\w+)?@postgres:5432/neurocards(\?passfile=(.*))?", url)
        assert found, f"unexpected {url}"
        local = self.database_url.format(user=found[1])
        return f"{local}&passfile={self.held(found[3])}" if found[2] else local

    def held(self, path: str) -> str:
        return path.replace(HELD, str(self.volumes / "logins"), 1)


@pytest.fixture
def network(own_postgres: EmbeddedPostgres, own_valkey: EmbeddedValkey, tmp_path: Path) -> LocalNetwork:
    """Postgres as the image makes it, our script included, with passwords; Valkey; ports; volumes."""

    async def make_database() -> None:
        connection = await asyncpg.connect(own_postgres.url())
        await connection.execute("CREATE ROLE neurocards SUPERUSER LOGIN")
        await connection.execute("CREATE DATABASE neurocards OWNER neurocards")
        hba = own_postgres.data / "pg_hba.conf"
        hba.write_text("local all +neurocards_app scram-sha-256\n" + hba.read_text())
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()

    asyncio.run(make_database())
    socket_folder = own_postgres.url().partition("?host=")[2]
    env = {
        "PATH": f"{find_postgres().folder}:{os.environ['PATH']}",
        "PGHOST": socket_folder,
        "PGDATA": str(own_postgres.data),
        "POSTGRES_USER": "neurocards",
        "POSTGRES_DB": "neurocards",
    }
    subprocess.run(["sh", str(ROOT / "docker/postgres-roles.sh")], env=env, check=True, capture_output=True)
    url = f"postgresql://{{user}}@/neurocards?host={socket_folder}"
    ports = free_port("127.0.0.1"), free_port("127.0.0.1")
    return LocalNetwork(url, own_valkey.url(), tmp_path / "volumes", *ports, make_secrets(tmp_path))


def make_secrets(folder: Path) -> Path:
    """What docker/secrets.sh makes beside a copy of the file."""
    (folder / "docker").mkdir()
    for name in ("docker-compose.yml", "docker/secrets.sh"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(["sh", str(folder / "docker/secrets.sh")], check=True, capture_output=True)
    return folder / "secrets"


def test_secrets_are_made_once_and_nobody_outside_reaches_them(tmp_path: Path) -> None:
    made = make_secrets(tmp_path)
    assert made.stat().st_mode & 0o777 == 0o700
    texts = {path.name: path.read_text() for path in made.iterdir()}
    assert texts.keys() == load()["secrets"].keys()
    assert {path.stat().st_mode & 0o777 for path in made.iterdir()} == {0o644}, "the container's user reads"
    own = {name for name, text in texts.items() if text}
    assert own == {
        "postgres_password", "database_owner_url", "callback_secret", "forget_secret", "grafana_password",
        "bot_webhook_secret",
    }  # fmt: skip
    assert texts["postgres_password"] in texts["database_owner_url"] and len(texts["callback_secret"]) == 64
    (made / "bot_token").write_text("1:token")
    subprocess.run(["sh", str(tmp_path / "docker/secrets.sh")], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in made.iterdir()} == texts | {"bot_token": "1:token"}


@pytest.fixture
def containers(network: LocalNetwork, tmp_path: Path) -> Iterator[dict[str, Container]]:
    services = {
        name: service | {"command": [network.held(word) for word in service["command"]]}
        for name, service in load()["services"].items()
        if name not in SERVERS | BACKUPS | COMMANDS
    }
    made = {
        name: Container(name, service, network, tmp_path / "containers") for name, service in services.items()
    }
    yield made
    for container in made.values():
        container.process.kill()


@pytest.mark.slow
async def test_every_command_becomes_healthy_answers_a_chat_and_stops(
    containers: dict[str, Container], network: LocalNetwork
) -> None:
    compose = load()
    for name in in_order(compose["services"]):
        if name not in containers:
            continue
        container = containers[name]
        container.start()
        if name in ONCE:
            assert container.process.wait_ended(60) == 0, container.process.log
    staying = [containers[name] for name in ours(compose)]
    for container in staying:
        await eventually(
            container.healthy,
            60,
            interval_s=0.5,
            what=container.described,
        )

    chat = f"http://127.0.0.1:{network.sandbox_port}/chat/42"
    async with httpx.AsyncClient(timeout=60) as client:
        (await client.post(f"{chat}/send", json={"text": "/start"})).raise_for_status()

        async def answered() -> bool:
            messages = (await client.get(f"{chat}/messages")).json()["messages"]
            return any(message["from"]["is_bot"] for message in messages)

        await eventually(answered, what=lambda: f"an answer in the chat:\n{containers['bot'].process.log}")

    for container in staying:
        container.process.signal(signal.SIGTERM)
    for container in staying:
        assert container.process.wait_ended(60) == 0, f"{container.name}:\n{container.process.log}"
