"""`neurocards ledger export` on a real database, and its files checked without one."""

import csv
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from msgspec.structs import replace

from events.envelope import Recorded
from ledger import commands as c
from ledger.checkpoints.signed_note import new_key
from projections.export.manifest import COLUMNS, path_of, read_manifest
from services.cli.errors import ExitCode
from services.cli.timespec import iso
from tests.integration.services.cli.conftest import Run
from tests.support.fake_clock_ledger import FakeClockLedger, random_ledger
from tests.support.history import rehashed
from tests.unit.projections.export.test_verify import line_of

Keep = Callable[[Iterable[Recorded]], None]
FORMS = ("jsonl", "csv")
NASTY = 'a "quote", a \\ and \\N, a\ttab, a\nline, \x01\x02, ünï 商品 🎁, \u2028, \\.'


def history() -> FakeClockLedger:
    desk = random_ledger(3, steps=40)
    desk.do(c.GrantCredits("a", 30, "manual", NASTY, "ref,erence"), 'key "with", commas')
    desk.order("a", "o-last", "j-last")
    return desk


@pytest.fixture
def desk(keep: Keep) -> FakeClockLedger:
    desk = history()
    keep(desk.events)
    return desk


@pytest.mark.parametrize("form", FORMS)
def test_an_export_is_whole_and_says_what_it_holds(
    run: Run, desk: FakeClockLedger, tmp_path: Path, form: str
) -> None:
    file = tmp_path / f"log.{form}"
    done = run("ledger", "export", "--format", form, "--file", str(file))
    assert (done.code, done.out) == (0, "")
    assert desk.events[-1].hash.hex() in done.err
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"log.{form}", f"log.{form}.manifest.json"]
    manifest = read_manifest(path_of(file))
    assert (manifest.first_position, manifest.last_position) == (
        1,
        len(desk.events),
    ) and manifest.format == form
    assert manifest.first_at == iso(desk.events[0].recorded_at_us)
    books = run("ledger", "trial-balance", "--at", str(len(desk.events)), "-o", "json").rows
    booked = {row["account"]: row["balance"] for row in books if row["balance"]}
    unbooked = manifest.totals["user"] - booked["user"]  # the books count expiries that nobody has booked
    assert unbooked >= 0 and sum(manifest.totals.values()) == 0
    checked = run("ledger", "verify-export", str(file), DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (checked.code, checked.out, checked.err) == (0, "", "")


def test_the_exact_text_of_every_event_survives(run: Run, desk: FakeClockLedger, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    run("ledger", "export", "--file", str(file))
    assert file.read_text(encoding="utf-8") == "".join(line_of(event) for event in desk.events)
    run("ledger", "export", "--format", "csv", "--file", str(tmp_path / "log.csv"))
    with (tmp_path / "log.csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert tuple(rows[0]) == COLUMNS
    assert [row["data"] for row in rows] == [event.data for event in desk.events]


@pytest.mark.parametrize("form", FORMS)
def test_a_part_is_whole_too(run: Run, desk: FakeClockLedger, tmp_path: Path, form: str) -> None:
    file, begin, end = tmp_path / "part", 7, 23
    run("ledger", "export", "--format", form, "--from", str(begin), "--to", str(end), "-f", str(file))
    manifest = read_manifest(path_of(file))
    assert (manifest.first_position, manifest.last_position, manifest.events) == (begin, end, end - begin + 1)
    assert manifest.hash_before == desk.events[begin - 2].hash.hex()
    assert run("ledger", "verify-export", str(file)).code == 0
    # A month without events is a file without rows.
    run("ledger", "export", "--format", form, "--from", "2001-01-01", "--to", "2001-02-01", "-f", str(file),
        "--overwrite")  # fmt: skip
    assert read_manifest(path_of(file)).events == 0
    assert run("ledger", "verify-export", str(file)).code == 0


@pytest.mark.parametrize("form", FORMS)
def test_an_edited_row_is_named(
    run: Run, keep: Keep, desk: FakeClockLedger, tmp_path: Path, form: str, own_rows: Callable[[str], None]
) -> None:
    """As if somebody had changed the file: here the row is changed below an export whose manifest is kept."""
    file, other = tmp_path / "log", tmp_path / "edited"
    run("ledger", "export", "--format", form, "-f", str(file))
    own_rows('UPDATE events SET data = \'{"origin":"elsewhere"}\' WHERE position = 1')
    run("ledger", "export", "--format", form, "-f", str(other))
    done = run("ledger", "verify-export", str(other), "--manifest", str(path_of(file)), "-o", "json")
    assert done.code == ExitCode.INTEGRITY
    assert [(row["kind"], row["position"]) for row in done.rows] == [("file", None), ("edited", 1)]
    raw = file.read_bytes()
    file.write_bytes(raw[: len(raw) // 2])
    done = run("ledger", "verify-export", str(file), "-o", "json")
    assert done.code == ExitCode.INTEGRITY and len(done.rows) > 1


def test_a_log_with_a_hole_is_written_and_said(
    run: Run, desk: FakeClockLedger, tmp_path: Path, own_rows: Callable[[str], None]
) -> None:
    own_rows("DELETE FROM events WHERE position IN (9, 10)")
    file = tmp_path / "log.jsonl"
    done = run("ledger", "export", "-f", str(file))
    assert done.code == ExitCode.INTEGRITY and "holes" in done.err
    found = run("ledger", "verify-export", str(file), "-o", "json").rows
    assert ("deleted", 9) in {(row["kind"], row["position"]) for row in found}
    assert run("ledger", "export", "--from", "10").code == ExitCode.INTEGRITY


def test_a_checkpoint_tells_a_rewritten_log(
    run: Run, keep: Keep, desk: FakeClockLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ledger.checkpoints.checkpoint import Checkpoint
    from ledger.checkpoints.merkle import root_of

    key = new_key("test")
    size = desk.events[-1].position
    root = root_of([event.hash for event in desk.events])
    note, keys, file = tmp_path / "note", str(key.public), tmp_path / "log.jsonl"
    assert "no checkpoint reaches its end" in run("ledger", "export", "-f", str(file)).err
    assert run("ledger", "verify-export", str(file), "-k", keys).code == ExitCode.INTEGRITY
    note.write_text(key.sign(Checkpoint("test", size, root).text()))
    signed = ("--checkpoint", str(note), "--public-key", keys)
    assert run("ledger", "verify-export", str(file), *signed).code == 0
    note.write_text(key.sign(Checkpoint("test", size, bytes(32)).text()))
    done = run("ledger", "verify-export", str(file), *signed, "-o", "json")
    assert done.code == ExitCode.INTEGRITY
    assert [(row["kind"], row["position"]) for row in done.rows] == [("checkpoint", size)]
    stranger = ("--checkpoint", str(note), "--public-key", str(new_key("test").public))
    assert run("ledger", "verify-export", str(file), *stranger).code == ExitCode.INTEGRITY
    assert run("ledger", "verify-export", str(file), "--checkpoint", str(note)).code == ExitCode.USAGE


@pytest.mark.parametrize("form", FORMS)
def test_a_period_proves_itself_with_a_later_checkpoint(
    run: Run, desk: FakeClockLedger, own_rows: Callable[[str], None], tmp_path: Path, form: str
) -> None:
    from ledger.checkpoints.checkpoint import Checkpoint
    from ledger.checkpoints.merkle import root_of

    key, size = new_key("test"), desk.events[-1].position
    signed = Checkpoint("test", size, root_of([event.hash for event in desk.events]))
    own_rows(
        "INSERT INTO checkpoints (number, kind, position, hash, note) "
        f"VALUES (1, 'checkpoint', {size}, sha256(''), '{key.sign(signed.text())}')"
    )
    file = tmp_path / "log"
    done = run("ledger", "export", "--format", form, "--from", "4", "--to", "9", "-f", str(file))
    assert done.code == 0 and f"the checkpoint of {size} events" in done.err
    assert run("ledger", "verify-export", str(file), "-k", str(key.public)).code == 0
    beside = path_of(file)
    true = beside.read_text()
    for old, new in (
        ('"left": [', '"left": [\n    "ab",'),
        ('"events": 6', '"events": +6'),
        ("— test", "— best"),
    ):
        assert old in true
        beside.write_text(true.replace(old, new, 1))
        done = run("ledger", "verify-export", str(file), "-k", str(key.public), "-o", "json")
        assert done.code == ExitCode.INTEGRITY and done.rows[0]["kind"] in ("manifest", "note"), old


def test_a_table_holds_no_formula(run: Run, keep: Keep, tmp_path: Path) -> None:
    events = random_ledger(3, steps=10).events
    keep(rehashed([replace(e, key=f"=SUM(A1) {e.key}" if e.key else None) for e in events]))
    file = tmp_path / "log.csv"
    assert run("ledger", "export", "--format", "csv", "-f", str(file)).code == 0
    assert "'=SUM(A1)" in file.read_text() and ",=SUM" not in file.read_text()
    assert run("ledger", "verify-export", str(file)).code == 0


def test_what_cannot_be_written_is_said_before_the_work(
    run: Run, desk: FakeClockLedger, tmp_path: Path
) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text("precious")
    there = run("ledger", "export", "-f", str(file))
    assert there.code == ExitCode.FAILURE and "--overwrite" in there.err
    assert file.read_text() == "precious"
    assert run("ledger", "export", "-f", str(tmp_path)).code == ExitCode.FAILURE
    assert run("ledger", "export", "-f", str(tmp_path / "no" / "log")).code == ExitCode.FAILURE
    assert run("ledger", "export", "--format", "xml").code == ExitCode.USAGE
    assert run("ledger", "export", "--from", "99999").code == ExitCode.NOT_FOUND
    assert run("ledger", "verify-export", str(file)).code == ExitCode.FAILURE  # no manifest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.jsonl"]  # nothing half done


def test_text_goes_to_stdout(run: Run, desk: FakeClockLedger) -> None:
    done = run("ledger", "export", "--to", "3")
    assert [json.loads(line)["position"] for line in done.out.splitlines()] == [1, 2, 3]
    assert run("ledger", "export", "--format", "csv", "--to", "1").out.startswith("position,stream,version")


def test_white_space_that_we_would_not_write_is_survived(run: Run, keep: Keep, tmp_path: Path) -> None:
    """JSON may hold line ends between its words; whoever writes past our code may put some there."""
    events = random_ledger(3, steps=10).events
    keep(rehashed([replace(e, data=e.data.replace(":", ":\n", e.position == 5)) for e in events]))
    files = {form: tmp_path / form for form in FORMS}
    for form, file in files.items():
        assert run("ledger", "export", "--format", form, "-f", str(file)).code == 0
    assert run("ledger", "verify-export", str(files["csv"])).code == 0
    found = run("ledger", "verify-export", str(files["jsonl"]), "-o", "json").rows
    assert (found[0]["kind"], found[0]["position"]) == ("unreadable", 5)


def test_an_empty_log_is_an_empty_file(run: Run, tmp_path: Path) -> None:
    for form in FORMS:
        file = tmp_path / form
        assert run("ledger", "export", "--format", form, "-f", str(file)).code == 0
        assert run("ledger", "verify-export", str(file)).code == 0
        assert read_manifest(path_of(file)).head_hash == "00" * 32


def test_a_rewritten_chain_with_other_versions_is_found_by_the_rules(
    run: Run, keep: Keep, tmp_path: Path
) -> None:
    events = history().events
    keep(
        rehashed(
            [replace(e, version=e.version + (e.position > 12 and e.stream == "account-a")) for e in events]
        )
    )
    file = tmp_path / "log.jsonl"
    run("ledger", "export", "-f", str(file))
    found = run("ledger", "verify-export", str(file), "-o", "json")
    assert found.code == ExitCode.INTEGRITY and "stream" in {row["kind"] for row in found.rows}
