"""What a system and its commands write is its owner's alone, whoever runs them and with whatever umask."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.backup.repository import Repository
from services.cli.doctor.machine import check_env_file, check_secret_files
from services.local.data_dir import DataFolder
from services.local.system_user import make_reachable, server_user
from services.platform.settings import load_settings
from tests.support.fork_server import neurocards
from tests.support.private_files import others_may
from tests.support.servers import fresh_cluster, short_folder
from tests.support.services import ROOT, clean_environment

GENEROUS = 0o022
"""The umask that most people have: others may read."""


class System:
    """`neurocards up` on databases of its own, with the sandbox as its only service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.env = clean_environment(
            PYTHONPATH=ROOT,
            NEUROCARDS_DATA_DIR=self.data,
            SANDBOX_PORT=0,
            WEB_PORT=0,
            DASHBOARD_PORT=0,
            LOG_NAME="test/log",
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.small_up", "up", "-o", "json"],
            cwd=folder, env=self.env, umask=GENEROUS, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()
        self.facts = json.loads(line)

    def run(self, *words: str) -> None:
        done = neurocards(words, cwd=self.folder, env=self.env, umask=GENEROUS)
        assert done.returncode == 0, done.stderr

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    with short_folder() as folder:
        (folder / "data").mkdir(mode=0o755)
        fresh_cluster(folder / "data/postgres")
        running = System(folder)
        yield running
        running.end()


def test_what_a_system_and_its_commands_write_is_nobody_elses(system: System) -> None:
    seller = {"Authorization": "Bearer sandbox-key-1"}
    upload = f"{system.facts['sandbox_url']}/kie/api/file-stream-upload"
    answer = httpx.post(upload, headers=seller, files={"file": ("a.png", b"photo")}, data={"uploadPath": "a"})
    assert answer.status_code == 200, answer.text
    photos = [path for path in (system.data / "sandbox").rglob("*") if path.is_file()]
    assert len(photos) > 1
    made = system.folder / "made"
    made.mkdir(mode=0o700)
    system.run("ledger", "checkpoint", "--to", str(made / "notes"))
    system.run("ledger", "keygen", str(made / "key"))
    system.run("ledger", "export", "--file", str(made / "log.jsonl"))
    system.run("backup", "take")
    assert (system.data / "backups/wal").is_dir()
    assert others_may(system.data) == []
    assert others_may(made) == []


def test_every_process_keeps_what_it_will_ever_write_to_itself(system: System) -> None:
    pids = {"up": system.facts["pid"]} | system.facts["pids"]
    umasks = {
        name: line.split()[1]
        for name, pid in pids.items()
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("Umask:")
    }
    assert umasks == dict.fromkeys(("up", "postgres", "valkey", "sandbox"), "0077")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Postgres is another user")
def test_only_postgres_may_pass_and_whoever_prepares_the_folder_again_does_not_shut_it_out(
    tmp_path: Path,
) -> None:
    folder = DataFolder(tmp_path / "data")
    folder.prepare()
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    user = server_user()
    assert user is not None
    make_reachable(folder.postgres, user.pw_gid)
    folder.prepare()
    assert (stat.S_IMODE(folder.root.stat().st_mode), folder.root.stat().st_gid) == (0o710, user.pw_gid)
    folder.root.chmod(0o755)
    folder.prepare()
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's Postgres is another user")
def test_backups_are_open_to_whoever_archives_into_them_and_to_nobody_else(tmp_path: Path) -> None:
    """In containers that is another Postgres's user, whose folder is there before ours."""
    repository = Repository(tmp_path / "backups")
    repository.root.mkdir(mode=0o755)
    repository.wal.mkdir(mode=0o700)
    os.chown(repository.wal, 999, 999)
    repository.prepare()
    assert (stat.S_IMODE(repository.root.stat().st_mode), repository.root.stat().st_gid) == (0o710, 999)
    script = (repository.root / "fetch_wal.sh").stat()
    assert (stat.S_IMODE(script.st_mode), script.st_uid) == (0o600, 999)


def test_the_doctor_sees_keys_that_others_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    env = tmp_path / ".env"
    env.write_text("BOT_TOKEN=1:a\n")
    env.chmod(0o644)
    assert [check.advice for check in check_env_file()] == ["chmod 600 .env"]
    env.chmod(0o600)
    assert [check.state for check in check_env_file()] == ["ok"]


def test_doctor_names_a_file_of_secrets_that_nothing_reads(tmp_path: Path) -> None:
    (tmp_path / "bot_token").touch()
    settings = load_settings(secrets_dir=tmp_path)
    assert [check.state for check in check_secret_files(settings)] == ["ok"]
    (tmp_path / "bot-token").touch()
    (wrong,) = check_secret_files(settings)
    assert wrong.state == "warn" and "bot-token" in wrong.found
