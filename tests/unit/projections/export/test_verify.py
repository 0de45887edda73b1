"""An exported file checked offline: whatever is done to it is found, and where."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.envelope import GENESIS, GENESIS_HASH, Recorded
from ledger.checkpoints.checkpoint import Checkpoint, open_checkpoint, time_text
from ledger.checkpoints.merkle import leaf_hash, nodes_of, root_of, whole_root
from ledger.checkpoints.signed_note import NoteError, new_key
from projections.engine.errors import MalformedManifestError, ManifestError
from projections.export.manifest import COLUMNS, Manifest, path_of, read_manifest, totals_of
from projections.export.verify import verify_file
from projections.verify.findings import Problem
from tests.support.each import each
from tests.support.fake_clock_ledger import random_ledger
from tests.support.history import rehashed
from tests.support.mutation import mutated

KEY = new_key("neurocards/test")
EVENTS = random_ledger(5, steps=60).events
LINES = list[str]


def line_of(e: Recorded) -> str:
    """As Postgres writes it (the integration tests compare)."""
    cells = {
        "position": e.position, "stream": e.stream, "version": e.version, "type": e.type, "data": "\0",
        "key": e.key,
        "body_hash": e.body_hash and e.body_hash.hex(), "command_events": e.command_events,
        "writer": e.writer, "recorded_at_us": e.recorded_at_us, "hash": e.hash.hex(),
    }  # fmt: skip
    return json.dumps(cells, separators=(",", ":"), ensure_ascii=False).replace('"\\u0000"', e.data) + "\n"


def nodes(start: int, end: int) -> tuple[str, ...]:
    """Of the tree over EVENTS."""
    leaves = [leaf_hash(event.hash) for event in EVENTS]
    runs = [leaves[n.index << n.height : (n.index + 1) << n.height] for n in nodes_of(start, end)]
    return tuple(whole_root(run).hex() for run in runs)


def signed(size: int) -> Checkpoint:
    return Checkpoint(KEY.name, size, root_of([event.hash for event in EVENTS[:size]]))


NOTE = KEY.sign(signed(len(EVENTS)).text())


def write(
    folder: Path, events: Sequence[Recorded], before: bytes = GENESIS_HASH, note: str | None = None
) -> tuple[Path, Manifest]:
    """A file and its manifest."""
    file = folder / "log.jsonl"
    text = "".join(line_of(event) for event in events)
    file.write_text(text, encoding="utf-8")
    types = {name: sum(e.type == name for e in events) for name in {e.type for e in events}}
    moved = [
        (e.type, json.loads(e.data).get("kind"), json.loads(e.data)["amount"])
        for e in events
        if e.type.startswith("Credits")
    ]
    first = events[0].position if events else 1
    manifest = Manifest(
        format="jsonl", file=file.name, first_position=first, last_position=first + len(events) - 1,
        events=len(events), hash_before=before.hex(), head_hash=(events[-1].hash if events else before).hex(),
        first_at=time_text(events[0].recorded_at_us) if events else None,
        last_at=time_text(events[-1].recorded_at_us) if events else None,
        types=types, totals=totals_of(moved), size_bytes=len(text.encode()),
        sha256=sha256(text.encode()).hexdigest(), made_at="2026-11-22T00:00:00.000000Z",
        left=nodes(0, first - 1), right=nodes(first + len(events) - 1, len(EVENTS)) if note else (),
        note=note,
    )  # fmt: skip
    path_of(file).write_text(manifest.text())
    return file, manifest


def found(file: Path, manifest: Manifest, *checkpoints: Checkpoint) -> list[Problem]:
    return verify_file(file, manifest, checkpoints=checkpoints).problems


@each("last", range(1, 30))
def test_a_file_may_end_within_a_command(tmp_path: Path, last: int) -> None:
    file, manifest = write(tmp_path, EVENTS[:last])
    assert found(file, manifest) == []


@each("first", [1, 2, 17, len(EVENTS)])
def test_a_whole_file_is_clean(tmp_path: Path, first: int) -> None:
    before = EVENTS[first - 2].hash if first > 1 else GENESIS_HASH
    file, manifest = write(tmp_path, EVENTS[first - 1 :], before)
    assert read_manifest(path_of(file)) == manifest
    assert found(file, manifest) == []


def test_an_empty_file_is_whole_too(tmp_path: Path) -> None:
    file, manifest = write(tmp_path, [])
    assert found(file, manifest) == []


AT = 20  # the position that is tampered with


def _edit(old: str, new: str) -> Callable[[LINES], LINES]:
    def change(lines: LINES) -> LINES:
        assert old in lines[AT - 1]
        return [*lines[: AT - 1], lines[AT - 1].replace(old, new, 1), *lines[AT:]]

    return change


def _swap(lines: LINES) -> LINES:
    return [*lines[: AT - 1], lines[AT], lines[AT - 1], *lines[AT + 1 :]]


VICTIM = EVENTS[AT - 1]
DAMAGE: dict[str, tuple[Callable[[LINES], LINES], str, int | None]] = {
    "data": (_edit('"data":{', '"data":{ '), "edited", AT),
    "stream": (_edit('"stream":"', '"stream":"x'), "edited", AT),
    "version": (_edit('"version":', '"version":1'), "edited", AT),
    "type": (_edit('"type":"', '"type":"X'), "edited", AT),
    "time": (_edit('"recorded_at_us":1', '"recorded_at_us":2'), "edited", AT),
    "hash": (_edit(f'"hash":"{VICTIM.hash.hex()[:2]}', f'"hash":"{VICTIM.hash[0] ^ 1:02x}'), "edited", AT),
    "position": (_edit(f'"position":{AT}', '"position":9999'), "edited", AT),
    "huge number": (_edit('"version":', '"version":99999999999999999999999'), "edited", AT),
    "no JSON": (_edit("{", "["), "unreadable", AT),
    "a column more": (_edit('{"position"', '{"extra":1,"position"'), "unreadable", AT),
    "a row out": (lambda lines: lines[: AT - 1] + lines[AT:], "deleted", AT),
    "a row twice": (lambda lines: lines[:AT] + lines[AT - 1 :], "moved", AT),
    "two swapped": (_swap, "moved", AT),
    "an empty line": (lambda lines: [*lines[: AT - 1], "\n", *lines[AT - 1 :]], "unreadable", AT),
    "the end cut": (lambda lines: lines[:-3], "cut", len(EVENTS) - 2),
    "cut within a line": (lambda lines: [*lines[:-1], lines[-1][:50]], "unreadable", len(EVENTS)),
    "nothing left": (lambda lines: [], "cut", 1),
    "a long line": (lambda lines: [*lines[: AT - 1], "x" * (1 << 20) + "\n"], "unreadable", AT),
    "rows added": (lambda lines: lines + lines[-1:], "moved", len(EVENTS)),
    "a byte added": (lambda lines: [*lines[:-1], lines[-1][:-1] + " \n"], "unreadable", len(EVENTS)),
}  # fmt: skip


@each("name", DAMAGE)
def test_damage_is_found_where_it_is(tmp_path: Path, name: str) -> None:
    change, kind, position = DAMAGE[name]
    file, manifest = write(tmp_path, EVENTS)
    damaged = change(file.read_text(encoding="utf-8").splitlines(keepends=True))
    file.write_text("".join(damaged), encoding="utf-8")
    problems = found(file, manifest)
    assert problems[0].kind == "file"
    assert (kind, position) in {(p.kind, p.position) for p in problems}
    by_rows = [p for p in problems if p.kind not in ("file", "manifest")]
    assert len(by_rows) <= 3, "one damage makes few words"
    # Also where the manifest's own numbers of bytes were made to fit.
    text = file.read_bytes()
    fitting = replace(manifest, size_bytes=len(text), sha256=sha256(text).hexdigest())
    again = found(file, fitting)
    assert [p for p in again if p.kind != "file"] == [p for p in problems if p.kind != "file"]
    assert again


def test_only_a_checkpoint_sees_a_file_made_anew(tmp_path: Path) -> None:
    richer = [
        replace(e, data=e.data.replace('"amount":', '"amount":9', 1)) if e.type == "CreditsGranted" else e
        for e in EVENTS[:5]
    ]
    file, manifest = write(tmp_path, rehashed(richer))
    assert found(file, manifest) == []
    assert [p.kind for p in found(file, manifest, signed(4))] == ["checkpoint"]
    [short] = found(file, manifest, signed(len(EVENTS)))
    assert (short.kind, short.position) == ("checkpoint", len(EVENTS))
    file, manifest = write(tmp_path, EVENTS)
    assert found(file, manifest, *(signed(at) for at in (0, 1, 7, len(EVENTS)))) == []
    file, manifest = write(tmp_path, EVENTS[9:], EVENTS[8].hash)
    assert found(file, manifest, signed(9), signed(20)) == []
    wrong = replace(signed(9), root=bytes(32))
    assert [p.kind for p in found(file, manifest, wrong)] == ["checkpoint"]
    assert [p.kind for p in found(file, manifest, signed(8))] == ["checkpoint"]


@each(("first", "last"), [(1, 5), (10, 20), (17, 17), (2, len(EVENTS))])
def test_a_period_leads_to_a_later_checkpoint(tmp_path: Path, first: int, last: int) -> None:
    before = EVENTS[first - 2].hash if first > 1 else GENESIS_HASH
    file, manifest = write(tmp_path, EVENTS[first - 1 : last], before, NOTE)
    assert read_manifest(path_of(file)) == manifest and manifest.checkpoint() == signed(len(EVENTS))
    assert found(file, manifest, signed(len(EVENTS)), signed(last)) == []
    assert [p.kind for p in found(file, manifest, signed(len(EVENTS) - 1))] == ["checkpoint"] * (
        last < len(EVENTS) - 1
    )
    for side in ("left", "right"):
        if nodes_beside := getattr(manifest, side):
            other = replace(manifest, **{side: ("00" * 32, *nodes_beside[1:])})
            assert [p.kind for p in found(file, other, signed(len(EVENTS)))] == ["checkpoint"]
            path_of(file).write_text(replace(manifest, **{side: nodes_beside[1:]}).text())
            with pytest.raises(MalformedManifestError, match="nodes beside"):
                read_manifest(path_of(file))
    after = EVENTS[first - 2].cursor if first > 1 else GENESIS
    forged = rehashed([replace(EVENTS[first - 1], data='{"amount":9}'), *EVENTS[first:last]], after)
    file, manifest = write(tmp_path, forged, before, NOTE)
    assert "checkpoint" in {p.kind for p in found(file, manifest, signed(len(EVENTS)))}


FORGED_ROWS = [
    ('"data":', '"data":{},"data":'),
    ('"position":20', '"position": 20'),
    ('"position":20', '"position":20.0'),
    ('"position":20', '"position":2e1'),
    ('"position":20', '"position":020'),
    ('"position":20', f'"position":{2**70}'),
    ('"hash":"', '"hash":" '),
    ('"stream":"', '"stream":"\\u0061'),
    ('"version"', '"Version":1,"version"'),
    ("}\n", "} \n"),
    ('"type":', '"type":"x","type":'),
    ('"writer":', '"writer":null,"writer":'),
]


def test_a_forged_row_is_unreadable_whatever_its_bytes_decode_to(tmp_path: Path) -> None:
    file, manifest = write(tmp_path, EVENTS)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    true = lines[AT - 1]
    forged = [true.replace(old, new, 1) for old, new in FORGED_ROWS]
    forged.append(true.replace(VICTIM.hash.hex(), VICTIM.hash.hex().upper()))
    for line in forged:
        assert line != true
        file.write_text("".join([*lines[: AT - 1], line, *lines[AT:]]), encoding="utf-8")
        text = file.read_bytes()
        fitting = replace(manifest, size_bytes=len(text), sha256=sha256(text).hexdigest())
        first = found(file, fitting)[0]
        assert first.kind in ("unreadable", "edited") and first.position == AT, line


@given(st.data())
def test_a_true_row_changed_anywhere_is_found(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        file, manifest = write(Path(folder), EVENTS[:AT])
        true = file.read_bytes()
        forged = mutated(data, true, true.rindex(b"\n", 0, -1) + 1)
        file.write_bytes(forged)
        fitting = replace(manifest, size_bytes=len(forged), sha256=sha256(forged).hexdigest())
        assert forged == true or found(file, fitting)


@given(st.data())
def test_a_true_manifest_changed_anywhere_is_refused_or_contradicted(data: st.DataObject) -> None:
    """But for its own name and time, for which nothing vouches."""
    with TemporaryDirectory() as folder:
        file, manifest = write(Path(folder), EVENTS[:AT], note=NOTE)
        path = path_of(file)
        path.write_bytes(mutated(data, path.read_bytes()))
        try:
            forged = read_manifest(path)
            signed_by = [] if forged.note is None else [open_checkpoint(forged.note, KEY.public)]
        except (MalformedManifestError, NoteError):
            return
        if replace(forged, file=manifest.file, made_at=manifest.made_at) != manifest:
            assert verify_file(file, forged, checkpoints=signed_by).problems


def test_the_rules_are_checked_on_a_whole_log(tmp_path: Path) -> None:
    charged = next(i for i, e in enumerate(EVENTS) if e.type == "CreditsCharged")
    old = json.loads(EVENTS[charged].data)
    greedy = json.dumps(old | {"amount": old["amount"] + 500}, separators=(",", ":"))
    events = rehashed([*EVENTS[:charged], replace(EVENTS[charged], data=greedy), *EVENTS[charged + 1 :]])
    file, manifest = write(tmp_path, events)
    problems = found(file, manifest)
    assert problems and {"edited", "file", "manifest"}.isdisjoint(p.kind for p in problems)
    assert charged + 1 in {p.position for p in problems}
    skipped = [replace(e, version=e.version + (e.position > 30)) for e in EVENTS]
    file, manifest = write(tmp_path, rehashed(skipped))
    assert "stream" in {p.kind for p in found(file, manifest)}


def test_a_video_after_the_refund_is_judged_with_its_jobs_history(tmp_path: Path) -> None:
    from events.job import Video
    from ledger import commands as c
    from tests.support.fake_clock_ledger import FakeClockLedger

    desk = FakeClockLedger()
    desk.open("a", 5)
    desk.order("a", "o1", "j1")
    desk.submit("j1")
    desk.fail("a", "j1")
    desk.open("b", 1)
    desk.do(c.SucceedJob("j1", 1, 1, Video("v", "0" * 64, 1)))
    assert desk.events[-1].type == "VideoGifted"
    file, manifest = write(tmp_path, desk.events)
    assert found(file, manifest) == []
    twice = rehashed([*desk.events, replace(desk.events[-1], version=desk.events[-1].version + 1)])
    file, manifest = write(tmp_path, twice)
    assert [p.kind for p in found(file, manifest)] == ["outcome"]


def test_totals_and_counts_must_be_those_of_the_manifest(tmp_path: Path) -> None:
    file, manifest = write(tmp_path, EVENTS)
    lying = (
        replace(manifest, totals=manifest.totals | {"user": 10**6}),
        replace(manifest, types=manifest.types | {"CreditsGranted": 1}),
        replace(manifest, events=manifest.events + 1),
        replace(manifest, head_hash="ab" * 32),
    )
    for other in lying:
        assert {p.kind for p in found(file, other)} == {"manifest"}
    assert [p.kind for p in found(file, replace(manifest, last_position=5))] == ["inserted"]
    [problem, *_] = found(file, replace(manifest, first_position=3, hash_before="ab" * 32, left=nodes(0, 2)))
    assert problem.kind == "moved"


def test_an_unknown_event_is_said(tmp_path: Path) -> None:
    for first in (1, 10):
        rows = [replace(e, type="JobDreamt") if e.position == 33 else e for e in EVENTS]
        events = rehashed(rows)
        before = events[first - 2].hash if first > 1 else GENESIS_HASH
        file, manifest = write(tmp_path, events[first - 1 :], before)
        assert 33 in {p.position for p in found(file, manifest)}


@each(
    "text",
    ["", "{}", "[1]", "\xff", '{"format":"jsonl"}', "x" * 1_000_001],
)
def test_what_is_no_manifest_is_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl.manifest.json"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(MalformedManifestError):
        read_manifest(path)
    with pytest.raises(ManifestError):
        read_manifest(tmp_path / "none")


def test_a_manifest_that_cannot_be_is_said(tmp_path: Path) -> None:
    _, manifest = write(tmp_path, EVENTS[:AT], note=NOTE)
    path = tmp_path / "other.json"
    for wrong in (
        replace(manifest, first_at=None), replace(manifest, last_at="2026-11-22"),
        replace(manifest, made_at="2999-01-01T00:00:00.000000Z"),
        replace(manifest, note=KEY.sign(signed(AT - 1).text())), replace(manifest, note="x"),
        replace(manifest, note=None), replace(manifest, last_position=2**63),
        replace(manifest, left=("ab" * 32,)),
        replace(manifest, hash_before="ab" * 32), replace(manifest, sha256="ab"),
        replace(manifest, first_position=0),
        replace(manifest, last_position=-5), replace(manifest, columns=COLUMNS[1:]),
    ):  # fmt: skip
        path.write_text(wrong.text())
        with pytest.raises(MalformedManifestError):
            read_manifest(path)
    true = manifest.text()
    for old, new in (
        ('"events":', '"events": 1,\n  "events":'),
        ('"events": ', '"events":  '),
        (": 20", ": +20"),
        (": 20", ": 20.0"),
        (": 20", ": ٢٠"),
        (manifest.sha256, manifest.sha256.upper()),
        ('"file"', '"File"'),
        ("\n}\n", "\n}"),
        (": 20", f": {2**70}"),
        ('"made_at"', '"checked": true,\n  "made_at"'),
        ("log.jsonl", "\\u006cog.jsonl"),
    ):
        assert old in true, old
        path.write_text(true.replace(old, new, 1))
        with pytest.raises(MalformedManifestError):
            read_manifest(path)


def test_dates_that_are_not_the_rows_are_said(tmp_path: Path) -> None:
    file, manifest = write(tmp_path, EVENTS)
    later = replace(manifest, first_at=time_text(EVENTS[0].recorded_at_us + 1))
    assert [(p.kind, p.position) for p in found(file, later)] == [("manifest", None)]


def test_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    file, manifest = write(tmp_path, EVENTS)
    file.unlink()
    with pytest.raises(ManifestError, match="cannot be read"):
        found(file, manifest)
