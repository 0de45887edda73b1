"""`neurocards ledger keygen, checkpoint, verify-checkpoint, prove, verify-proof` as an auditor uses them."""

import asyncio
import base64
import json
import stat
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from events.envelope import Cursor
from events.system import LogStated
from ledger import commands as c
from ledger.checkpoints.checkpoint import Restored, parse, require_checkpoint
from ledger.checkpoints.signed_note import MalformedKeyError, WitnessKey, parse_private, unverified_text
from ledger.checkpoints.store import hash_at, log_statements, store
from ledger.log.ledger import Ledger
from services.cli.main import app
from services.platform.settings import load_settings
from services.recovery.checkpoint_files import signing_keys
from tests.integration.ledger.conftest import order, rich
from tests.integration.services.relay.conftest import truncate_log
from tests.support.cli_runner import CliRunner

NAME = "neurocards.example/ledger"


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

    async def holds(self, *arguments: str, database: bool = True) -> str:
        """0, and one line to people that says what holds."""
        done = await self(*arguments, database=database)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        [line] = done.stderr.splitlines()
        return line

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
    made = await desk("keygen", "key", "--name", NAME)
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
    assert kept.name.startswith("checkpoint-000000000008-") and kept.suffix == ".note"
    assert kept.read_text() == (desk.folder / "note").read_text()
    signed = "signed: the checkpoint of 8 events of neurocards.example/ledger"
    head = await ledger.read.head()
    held = await desk.holds("verify-checkpoint", "note", "-k", "pub", "--deep")
    assert held.startswith(signed) and held.endswith(f"the log holds it, hash {head.hash.hex()}")
    key = (desk.folder / "pub").read_text().strip()
    said = await desk.holds("verify-checkpoint", "note", "-k", key, "--offline", database=False)
    assert said == f"{signed}; not compared with the log"
    assert (await desk("checkpoint", "--to", "again")).returncode == 0  # nothing came since: the same note
    assert (desk.folder / "again").read_text() == (desk.folder / "note").read_text()
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    assert await desk.holds("verify-checkpoint", "note", "-k", "pub") == held


async def test_a_later_checkpoint_is_compared_with_an_earlier_one_without_a_database(desk, ledger):
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    assert (await desk("checkpoint", "--to", "later")).returncode == 0
    for old, new in (("note", "later"), ("8", "10")):
        made = await desk("prove", "--consistency", old, new, "--to", "proof")
        assert made.returncode == 0, made.stderr
    both = ("compare-checkpoints", "note", "later", "-k", "pub")
    said = await desk.holds(*both, "proof", database=False)
    assert said == "the log of 10 events begins with that of 8"
    await desk.holds("compare-checkpoints", "note", "note", "-k", "pub", database=False)
    (row,) = await desk.damaged(*both, database=False)
    assert "a proof is needed" in row["message"]
    text = (desk.folder / "proof").read_text()
    (desk.folder / "proof").write_text(text.replace("old 8", "old 7"))
    (row,) = await desk.damaged(*both, "proof", database=False)
    assert row["kind"] == "proof" and "two other checkpoints" in row["message"]
    assert (await desk("prove", "--consistency", "7", "10", "--to", "proof")).returncode == 4
    assert (await desk("prove", "--consistency", "9" * 19, "10", "--to", "proof")).returncode == 2
    assert (await desk("prove", "--to", "proof")).returncode == 2


async def test_a_key_is_handed_over_by_a_command(desk, ledger):
    (desk.folder / "new-pub").write_text((await desk("keygen", "new", "--name", NAME)).stdout)
    why = ("--reason", "a year is over")
    shown = await desk("rotate-key", "new", *why, "--dry-run")
    assert shown.returncode == 0 and NAME in shown.stdout
    await desk("keygen", "another", "--name", "another.example")
    refused = await desk("rotate-key", "another", *why, "--yes")
    assert refused.returncode == 2 and f"keygen --name {NAME}" in refused.stderr
    assert (await desk("rotate-key", "new", *why, "--yes")).returncode == 0
    refused = await desk("checkpoint")
    assert refused.returncode == 1 and "rotate-key" in refused.stderr
    keys = (desk.folder / "new").read_text() + (desk.folder / "key").read_text()
    (desk.folder / "key").write_text(keys)
    assert (await desk("checkpoint", "--to", "both")).returncode == 0
    for key in ("pub", "new-pub"):
        await desk.holds("verify-checkpoint", "both", "-k", key)
        await desk.clean("verify", "-k", key)
    (desk.folder / "key").write_text((desk.folder / "new").read_text())
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    assert (await desk("checkpoint", "--to", "alone")).returncode == 0
    await desk.holds("verify-checkpoint", "alone", "-k", "pub")  # the log says who came after it
    await desk.damaged("verify-checkpoint", "alone", "-k", "pub", "--offline")
    again = await desk("rotate-key", "new", *why, "--yes")
    assert again.returncode == 1 and "another command" in again.stderr


async def test_a_changed_note_or_another_key_is_damage(desk):
    note = desk.folder / "note"
    other = (await desk("keygen", "other-key")).stdout
    (desk.folder / "other").write_text(other)
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "other", "--offline", database=False)
    assert row["kind"] == "note" and "not signed by" in row["message"]
    note.write_text(note.read_text().replace("\n8\n", "\n7\n"))
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub", "--offline", database=False)
    assert "does not fit" in row["message"]
    for nonsense in (b"", b"hello\n", b"\xff\xfe"):
        note.write_bytes(nonsense)
        (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub", "--offline", database=False)
        assert "no signed note" in row["message"]


async def test_what_the_person_got_wrong_is_no_damage(desk):
    assert (await desk("verify-checkpoint", "nowhere", "-k", "pub")).returncode == 2
    assert (await desk("verify-checkpoint", "note", "-k", "nonsense")).returncode == 2
    assert (await desk("verify-checkpoint", "note")).returncode == 2
    assert (await desk("verify-checkpoint", "note", "-k", f"a+{'b' * 300}")).returncode == 2
    refused = await desk("verify-checkpoint", "note", "-k", "pub", "--report", "nowhere/paper")
    assert refused.returncode == 2 and "no folder nowhere" in refused.stderr
    assert (await desk("verify", "--from", "9" * 5000)).returncode == 2
    assert (await desk("prove", "j9", "--to", "proof")).returncode == 4
    assert (await desk("prove", "9", "--to", "proof")).returncode == 4


@pytest.mark.parametrize(
    ("damage", "kind", "position"),
    [
        ("DELETE FROM events WHERE position = 8", "log", 8),
        ("UPDATE events SET hash = sha256('x') WHERE position = 8", "inserted", 8),
        ("UPDATE events SET hash = sha256('x') WHERE position = 3", "edited", 3),
        ("UPDATE events SET data = '{}' WHERE position = 3", "edited", 3),
        ("DELETE FROM events WHERE position = 3", "deleted", 3),
    ],
)
async def test_a_log_that_is_not_what_was_signed(desk, owner, damage, kind, position):
    await owner.execute("ALTER TABLE events DISABLE TRIGGER ALL")
    await owner.execute(damage)
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub", "--report", "paper.1.json")
    assert (row["kind"], row["position"]) == (kind, position)
    paper = json.loads((desk.folder / "paper.1.json").read_text())
    assert (paper["events"], paper["result"], paper["findings"]) == (8, "damaged", [row])
    assert row["message"].partition("'")[0] in (desk.folder / "paper.1.html").read_text()
    if "data" in damage:  # what is not looked at for speed
        await desk.holds("verify-checkpoint", "note", "-k", "pub", "--stored-hashes")
    else:
        (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub", "--stored-hashes")
        assert (row["kind"], row["position"]) == ("log", 8)


async def test_the_whole_log_rewritten_with_right_hashes_is_seen(desk, owner, ledger):
    """The chain holds again; only what was signed and kept elsewhere tells."""
    await truncate_log(owner, 6)
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
    (row,) = await desk.damaged("verify-checkpoint", "note", "-k", "pub")
    assert row["position"] == 8 and "ends before" in row["message"]
    done = await desk("checkpoint")
    assert done.returncode == 3 and "nothing is signed" in done.stderr


@pytest.mark.parametrize("where", ["table", "file"])
async def test_what_a_signed_restoration_has_lost_is_explained_and_no_damage(desk, owner, pool, where):
    signed = require_checkpoint(parse((desk.folder / "note").read_text()))
    await truncate_log(owner, 6)
    hash_ = await hash_at(pool, 6)
    assert hash_ is not None
    kept, key = Cursor(6, hash_), parse_private((desk.folder / "key").read_text())
    lost = Cursor(signed.size, bytes(32))
    told = Restored(key.name, lost, kept, kept, "anna", "a dump was put back", 1)
    note = key.sign(told.text())
    (desk.folder / "restored").write_text(note)
    if where == "table":
        await store(pool, note)
    extra = () if where == "table" else ("--restored", "restored")
    done = await desk("verify-checkpoint", "note", "-k", "pub", *extra)
    assert (done.returncode, done.stdout) == (0, "")
    assert "went back to 6 and lost what was up to 8, as anna signed" in done.stderr
    assert "a dump was put back" in done.stderr
    await desk.holds("verify-checkpoint", "restored", "-k", "pub")
    ahead = key.sign(replace(told, time_us=time.time_ns() // 1000 + 3600 * 10**6).text())
    (desk.folder / "ahead").write_text(ahead)
    for words in (("ahead",), ("note", "--restored", "ahead")):
        (row,) = await desk.damaged("verify-checkpoint", *words, "-k", "pub")
        assert row["kind"] == "note" and "later than now" in row["message"]
    if where == "table":
        await store(pool, ahead)
        found = await desk.damaged("verify", "-k", "pub")
        assert [row["kind"] for row in found if "later than now" in row["message"]] == ["checkpoint"]
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
    assert "under the checkpoint of neurocards.example/ledger at 8" in done.stderr
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
    assert signing_keys(load_settings(checkpoint_key_file=tmp_path / "key", log_name="one"))
    with pytest.raises(MalformedKeyError, match="how often it was restored"):
        make_key(tmp_path / "restored", "one/2")
    with pytest.raises(SettingsError, match="LOG_NAME: is two"):
        signing_keys(load_settings(checkpoint_key_file=tmp_path / "key", log_name="two"))
    (tmp_path / "bad").write_text("PRIVATE+KEY+one+00000000+AAAA\n")
    with pytest.raises(SettingsError, match="CHECKPOINT_KEY_FILE"):
        signing_keys(load_settings(checkpoint_key_file=tmp_path / "bad"))
    assert signing_keys(load_settings(data_dir=tmp_path / "none")) == []


def witnessed(note: str, name: str, at_s: int) -> tuple[str, str]:
    """A witness's key, and the note with its line below."""
    key = Ed25519PrivateKey.generate()
    witness = WitnessKey(name, key.public_key().public_bytes_raw())
    signed = key.sign(f"cosignature/v1\ntime {at_s}\n{unverified_text(note)}".encode())
    line = base64.b64encode(witness.id + at_s.to_bytes(8, "big") + signed).decode()
    return str(witness), f"{note}— {name} {line}\n"


async def test_a_cosigned_note_is_taken_back_in_and_handed_out_as_that(desk, ledger):
    note = (desk.folder / "note").read_text()
    now_s = int(time.time())
    one, first = witnessed(note, "witness.example/w1", now_s)
    other, second = witnessed(note, "witness.example/w2", now_s)
    (desk.folder / "first").write_text(first)
    (desk.folder / "second").write_text(second)
    taken = await desk("cosign", "first", "-k", "pub", "-w", one)
    assert taken.returncode == 0 and "kept; cosigned by witness.example/w1 at 20" in taken.stderr
    assert (await desk("cosign", "first", "-k", "pub", "-w", one)).returncode == 0  # asked twice: once
    assert (await desk("cosign", "second", "-k", "pub", "-w", other)).returncode == 0
    both = note + "".join(sorted(text.removeprefix(note) for text in (first, second)))
    (kept,) = (desk.folder / "kept").iterdir()
    assert kept.read_text() == both
    for made in (("checkpoint", "--to", "again"), ("prove", "8", "--to", "proof")):
        assert (await desk(*made)).returncode == 0
    assert (desk.folder / "again").read_text() == both
    assert json.loads((desk.folder / "proof").read_text())["checkpoint"] == both
    asked = ("-k", "pub", "-w", one, "-w", other)
    assert "cosigned by" in await desk.holds("verify-checkpoint", "again", *asked)
    assert (await desk("verify-proof", "proof", "-k", "pub", database=False)).returncode == 0
    listed = await desk("checkpoints", "-o", "jsonl")
    assert json.loads(listed.stdout)["cosigned_by"] == "witness.example/w1, witness.example/w2"
    # The next statement names the note as it was signed, though the folder has it with their lines.
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x"), key="grant")
    assert (await desk("checkpoint")).returncode == 0
    *_, told = await log_statements(ledger.read.pool)
    assert isinstance(told.event, LogStated) and told.event.previous is not None
    assert told.event.previous.note == sha256(note.encode()).hexdigest()
    await desk.clean("verify", "-k", "pub", "--log-only")


async def test_what_no_witness_signed_of_a_note_of_ours_is_not_kept(desk, ledger):
    note = (desk.folder / "note").read_text()
    now_s = int(time.time())
    witness, cosigned = witnessed(note, "witness.example/w1", now_s)
    later, ahead = witnessed(note, "witness.example/w1", now_s + 3600)
    key = parse_private((desk.folder / "key").read_text())
    theirs, other = witnessed(key.sign(f"{NAME}\n7\n{'A' * 43}=\n"), "witness.example/w1", now_s)
    for text, by, said in (
        (note, witness, "0 of 1 witnesses"),
        (cosigned, later, "0 of 1 witnesses"),
        (cosigned[:-9] + ("A" if cosigned[-9] != "A" else "B") + cosigned[-8:], witness, "does not fit"),
        (cosigned.replace("\n8\n", "\n9\n"), witness, "does not fit"),
        (ahead, later, "a time to come"),
        (other, theirs, "not stored here"),
        (cosigned + cosigned.removeprefix(note), witness, "signed it twice"),
    ):
        (desk.folder / "file").write_text(text)
        (row,) = await desk.damaged("cosign", "file", "-k", "pub", "-w", by)
        assert row["kind"] == "note" and said in row["message"], row
    (desk.folder / "file").write_text(cosigned)
    (desk.folder / "stranger").write_text((await desk("keygen", "new", "--name", NAME)).stdout)
    (row,) = await desk.damaged("cosign", "file", "-k", "stranger", "-w", witness)
    assert "not signed by" in row["message"]
    assert await ledger.read.pool.fetchval("SELECT count(*) FROM cosignatures") == 0
