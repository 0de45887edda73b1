"""`neurocards ledger keygen, checkpoint, verify-checkpoint, prove, verify-proof` as an auditor uses them."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from events.envelope import Cursor
from ledger import commands as c
from ledger.checkpoints.checkpoint import Restored, parse_checkpoint
from ledger.checkpoints.signed_note import parse_private, unverified_text
from ledger.checkpoints.store import hash_at, store
from ledger.log.ledger import Ledger
from services.cli.main import app
from services.platform.settings import load_settings
from services.recovery.checkpoint_files import signing_key
from tests.integration.ledger.conftest import order, rich
from tests.integration.services.relay.conftest import truncate_log
from tests.support.cli_runner import CliRunner


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


class Desk:
    """Commands in a folder of their own; `database=False` for an auditor who has none."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.folder = folder
        self._env = {
            "NEUROCARDS_DATA_DIR": str(folder / "data"),
            "CHECKPOINT_KEY_FILE": str(folder / "key"),
            "CHECKPOINT_DIR": str(folder / "kept"),
            "COLUMNS": "120",
        }
        self._database_url = database_url

    async def __call__(self, *arguments: str, database: bool = True) -> Done:
        env = self._env | {"DATABASE_URL": self._database_url if database else None}
        done = await asyncio.to_thread(CliRunner().invoke, app, ["ledger", *arguments], env=env)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Done(done.exit_code, done.stdout, done.stderr)

    async def clean(self, *arguments: str, database: bool = True) -> None:
        """Silent and 0."""
        done = await self(*arguments, database=database)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    async def damaged(self, *arguments: str, database: bool = True) -> list[dict[str, Any]]:
        """Exit code 3; the rows that say what is wrong."""
        done = await self(*arguments, "-o", "json", database=database)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows


@pytest.fixture
async def desk(tmp_path: Path, database_url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A ledger with two charges, a key, and a checkpoint in `note`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("services.cli.connections.configure_command_logging", lambda *_: None)
    await rich(ledger, "a")
    await ledger.execute(order("a", "o1", "j1", "j2"), key="order:o1")
    desk = Desk(tmp_path, database_url)
    made = await desk("keygen", "key", "--name", "neurocards.example/ledger")
    (tmp_path / "pub").write_text(made.stdout)
    assert made.stdout.startswith("neurocards.example/ledger+") and made.returncode == 0
    assert (await desk("checkpoint", "--to", "note")).returncode == 0
    return desk


async def test_a_private_key_is_its_owners_and_never_replaced(desk):
    key = desk.folder / "key"
    text = key.read_text()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert (await desk("keygen", "key")).returncode == 2
    assert key.read_text() == text
    assert (await desk("public-key")).stdout == (desk.folder / "pub").read_text()
    assert "BEGIN PUBLIC KEY" in (await desk("public-key", "--pem")).stdout


async def test_a_checkpoint_is_stored_written_and_holds(desk, ledger):
    (kept,) = (desk.folder / "kept").iterdir()
    assert kept.name.startswith("checkpoint-000000000007-") and kept.suffix == ".note"
    assert kept.read_text() == (desk.folder / "note").read_text()
    await desk.clean("verify-checkpoint", "note", "-k", "pub", "--deep")
    key = (desk.folder / "pub").read_text().strip()
    await desk.clean("verify-checkpoint", "note", "-k", key, "--offline", database=False)
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    await desk.clean("verify-checkpoint", "note", "-k", "pub")


async def test_a_changed_note_or_another_key_is_damage(desk):
    note = desk.folder / "note"
    other = (await desk("keygen", "other-key")).stdout
    (desk.folder / "other").write_text(other)
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "other", "--offline", database=False)
    assert row["kind"] == "note" and "not signed by" in row["message"]
    note.write_text(note.read_text().replace("\n7\n", "\n6\n"))
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub", database=False)
    assert "does not fit" in row["message"]
    for nonsense in (b"", b"hello\n", b"\xff\xfe"):
        note.write_bytes(nonsense)
        (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub", "--offline", database=False)
        assert "no signed note" in row["message"]


async def test_what_the_person_got_wrong_is_no_damage(desk):
    assert (await desk("verify-checkpoint", "nowhere", "-k", "pub")).returncode == 2
    assert (await desk("verify-checkpoint", "note", "-k", "nonsense")).returncode == 2
    assert (await desk("verify-checkpoint", "note")).returncode == 2
    assert (await desk("prove", "j9", "--to", "proof")).returncode == 4
    assert (await desk("prove", "8", "--to", "proof")).returncode == 4


@pytest.mark.parametrize(
    ("damage", "kind", "position"),
    [
        ("DELETE FROM events WHERE position = 7", "log", 7),
        ("UPDATE events SET hash = sha256('x') WHERE position = 7", "log", 7),
        ("UPDATE events SET hash = sha256('x') WHERE position = 3", "root", None),
        ("DELETE FROM events WHERE position = 3", "root", None),
    ],
)
async def test_a_log_that_is_not_what_was_signed(desk, owner, damage, kind, position):
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute(damage)
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub")
    assert (row["kind"], row["position"]) == (kind, position)


async def test_the_whole_log_rewritten_with_right_hashes_is_seen(desk, owner, ledger):
    """The chain holds again; only what was signed and kept elsewhere tells."""
    await truncate_log(owner, 6)
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub")
    assert row["position"] == 7 and "ends before" in row["message"]
    done = await desk("checkpoint")
    assert done.returncode == 3 and "nothing is signed" in done.stderr


@pytest.mark.parametrize("where", ["table", "file"])
async def test_what_a_signed_restoration_has_lost_is_explained_and_no_damage(desk, owner, pool, where):
    signed = parse_checkpoint(unverified_text((desk.folder / "note").read_text()))
    await truncate_log(owner, 6)
    hash_ = await hash_at(pool, 6)
    assert hash_ is not None
    kept, key = Cursor(6, hash_), parse_private((desk.folder / "key").read_text())
    told = Restored(key.name, signed.head, kept, kept, "anna", "a dump was put back", signed.time_us + 1)
    note = key.sign(told.text())
    (desk.folder / "restored").write_text(note)
    if where == "table":
        await store(pool, note)
    extra = () if where == "table" else ("--restored", "restored")
    done = await desk("verify-checkpoint", "note", "-k", "pub", *extra)
    assert (done.returncode, done.stdout) == (0, "")
    assert "went back to 6 and lost what was up to 7, as anna signed" in done.stderr
    assert "a dump was put back" in done.stderr
    await desk.clean("verify-checkpoint", "restored", "-k", "pub")
    (desk.folder / "other").write_text((await desk("keygen", "other-key")).stdout)
    (row,) = await desk.damaged("verify-checkpoint", "restored", "-k", "other")
    assert "not signed by" in row["message"]


@pytest.mark.parametrize(
    ("name", "positions"), [("7", [7]), ("j1", [4, 5]), ("o1", [4, 5, 6, 7]), ("order:o1", [4, 5, 6, 7])]
)
async def test_a_proof_needs_nothing_but_the_public_key(desk, name, positions):
    assert (await desk("prove", name, "--to", "proof")).returncode == 0
    done = await desk("verify-proof", "proof", "-k", "pub", "-o", "json", database=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["position"] for row in rows] == positions
    assert "under the checkpoint of neurocards.example/ledger at 7" in done.stderr
    assert len((desk.folder / "proof").read_bytes()) < 1200 * len(positions) + 1000
    assert {row["type"] for row in rows} <= {"CreditsCharged", "JobQueued"}


async def test_a_changed_proof_says_where(desk):
    await desk("prove", "o1", "--to", "proof", "--checkpoint", "note")
    proof = desk.folder / "proof"
    proof.write_text(proof.read_text().replace('\\"amount\\":1', '\\"amount\\":9', 1))
    (row,) = await desk.damaged("verify-proof", "proof", "-k", "pub", database=False)
    assert (row["kind"], row["position"]) == ("proof", 4) and "one was changed" in row["message"]


def test_a_key_of_another_name_than_configured_is_a_wrong_setting(tmp_path: Path) -> None:
    from services.platform.errors import SettingsError
    from services.recovery.checkpoint_files import make_key

    make_key(tmp_path / "key", "one")
    assert signing_key(load_settings(checkpoint_key_file=tmp_path / "key", log_name="one")) is not None
    with pytest.raises(SettingsError, match="LOG_NAME: is two"):
        signing_key(load_settings(checkpoint_key_file=tmp_path / "key", log_name="two"))
    (tmp_path / "bad").write_text("PRIVATE+KEY+one+00000000+AAAA\n")
    with pytest.raises(SettingsError, match="CHECKPOINT_KEY_FILE"):
        signing_key(load_settings(checkpoint_key_file=tmp_path / "bad"))
    assert signing_key(load_settings(data_dir=tmp_path / "none")) is None
