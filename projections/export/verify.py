"""Verify an exported file against its manifest and itself, offline.

The chain shows what was changed, added or taken out, and where. It cannot show that file and manifest were
made anew together, or end early: for that, compare with a checkpoint signed elsewhere.

A file from position 1 is the whole log so far, and all rules are checked: stream versions, no overdraft, one
outcome for every charge, books at zero.
"""

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from events.codec import EVENT_TYPES
from events.envelope import Cursor, Recorded
from events.errors import UnknownEventTypeError
from ledger.checkpoints.checkpoint import Checkpoint, time_text
from ledger.checkpoints.merkle import CompactRange, leaf_hash
from ledger.log.hash_chain import event_hash
from projections.engine.errors import ManifestError
from projections.export.manifest import Manifest, totals_of
from projections.export.reader import Unreadable, rows, sha256_of
from projections.verify.event_fields import READ
from projections.verify.event_fields import Row as RulesRow
from projections.verify.findings import Findings, Kind
from projections.verify.invariants.jobs import job_stream_of, judge
from projections.verify.invariants.log import Rules

_PAGE: Final = 2000


class _Moved(msgspec.Struct):
    amount: int
    kind: str | None = None


_moved = msgspec.json.Decoder(_Moved).decode


class FileCheck:
    """Check of rows, one after the other.

    Each checkpoint, its signature checked before, must end in the rows or be the manifest's own.
    """

    def __init__(
        self, manifest: Manifest, findings: Findings, checkpoints: Sequence[Checkpoint] = ()
    ) -> None:
        self._manifest = manifest
        self._say = findings.add
        self._waiting = list(checkpoints)
        self._tree = CompactRange()
        self._tree.extend(manifest.first_position - 1, [bytes.fromhex(node) for node in manifest.left])
        self._times: list[int] = []
        self._cursor = Cursor(manifest.first_position - 1, bytes.fromhex(manifest.hash_before))
        self._otherwise: bytes | None = None  # the hash the row before should have had
        self._page: list[RulesRow] = []
        self._command_left = 0
        self._sums: dict[tuple[str, str | None], int] = {}
        self._types: dict[str, int] = {}
        self.count = 0
        self.sound = True
        self.rules = Rules(findings) if manifest.first_position == 1 else None
        if self.rules is not None:
            self.rules.decided_us = {int(at): time_us for at, time_us in manifest.decided.items()}

    def add(self, row: Recorded | Unreadable) -> None:
        self.count += 1
        if isinstance(row, Unreadable):
            place = f"{row.place}, where position {self._cursor.position + 1} should be,"
            self._damage("unreadable", self._cursor.position + 1, f"{place} {row.message}")
            self._otherwise = None
            self._cursor = Cursor(self._cursor.position + 1, b"")  # whatever follows may follow from it
            return
        self._check_place(row)
        self._types[row.type] = self._types.get(row.type, 0) + 1
        if self.rules is None and row.type not in EVENT_TYPES:
            self._damage("unreadable", row.position, str(UnknownEventTypeError(row.type, row.position)))
        if row.type.startswith("Credits"):
            self._add_credits(row)
        if self.sound:
            self._compare_roots()
            self._tree.add(0, leaf_hash(row.hash))
        self._times = [*self._times[:1], row.recorded_at_us]
        if self.rules is not None and self.sound:
            self._page.append(for_rules(row))
            self._command_left = (row.command_events or self._command_left) - 1
            if len(self._page) >= _PAGE and self._command_left == 0:
                self._turn_page()

    def _check_place(self, row: Recorded) -> None:
        expected, at = self._cursor.position + 1, row.position
        if at == expected and _fits(self._cursor.hash, row):
            self._otherwise = None
        elif at != expected and _fits(self._cursor.hash, replace(row, position=expected)):
            self._damage("edited", expected, f"the row of position {expected} calls itself position {at}")
            self._cursor = Cursor(expected, row.hash)
            return
        elif at < expected or (at > expected and at > self._manifest.last_position):
            self._damage("moved", at, f"position {at} stands where position {expected} should")
            return
        elif at > expected:
            gone = f"position {expected}" if at == expected + 1 else f"positions {expected} to {at - 1}"
            self._damage("deleted", expected, f"missing from the file: {gone}")
            self._otherwise = None
        else:
            self._check_edited(row)
        self._cursor = row.cursor

    def _check_edited(self, row: Recorded) -> None:
        if self._otherwise is not None and _fits(self._otherwise, row):
            self._otherwise = None  # it was the hash before that was changed, and that has been said
            return
        if self._cursor.hash:
            at = row.position
            message = f"the {row.type} at position {at} is not what was written: its hash does not follow"
            self._damage("edited", at, message)
        self._otherwise = _hash_after(self._cursor.hash, row)

    def _add_credits(self, row: Recorded) -> None:
        try:
            moved = _moved(row.data)
        except (msgspec.DecodeError, UnicodeError) as error:
            self._damage("unreadable", row.position, f"{row.type} at position {row.position}: {error}")
            return
        kind = None if row.type in ("CreditsCharged", "CreditsRefunded") else moved.kind
        key = (row.type, kind)
        self._sums[key] = self._sums.get(key, 0) + moved.amount

    def _turn_page(self) -> None:
        assert self.rules is not None
        self.rules.add(self._page)
        self._page = []

    def _compare_roots(self) -> None:
        """Compare the tree so far with the checkpoints of its size."""
        for signed in [one for one in self._waiting if one.size == self._tree.size]:
            self._waiting.remove(signed)
            if self._tree.root() != signed.root:
                message = f"the checkpoint of {signed.size} events signs another log than the file is of"
                self._damage("checkpoint", signed.size, message)

    def _damage(self, kind: Kind, position: int | None, message: str) -> None:
        self.sound = False
        self._say(kind, position, message)

    def finish(self) -> list[RulesRow]:
        """Final checks; late events of finished jobs, still to be judged."""
        manifest, end = self._manifest, self._cursor
        if end.position < manifest.last_position:
            message = f"the file ends at position {end.position}, the manifest says {manifest.last_position}"
            self._damage("cut", end.position + 1, message)
        elif end.position > manifest.last_position:
            message = (
                f"the file goes on to position {end.position}, the manifest says {manifest.last_position}"
            )
            self._damage("inserted", manifest.last_position + 1, message)
        elif end.hash.hex() != manifest.head_hash:
            self._damage("manifest", end.position, "the manifest names another hash for the last position")
        if self.sound:
            self._compare_roots()
            reached = manifest.checkpoint()
            if reached is not None and self._waiting:
                self._tree.extend(reached.size, [bytes.fromhex(node) for node in manifest.right])
                self._compare_roots()
        for signed in self._waiting:
            message = (
                f"the checkpoint of {signed.size} events does not end in the file, which holds "
                f"{manifest.first_position} to {end.position}, nor is it the one that its manifest leads to"
            )
            self._damage("checkpoint", signed.size, message)
        if not self.sound:
            return []
        self._compare_sums()
        if self.rules is None:
            return []
        while self._page and self._command_left > 0:  # the file may end within a command
            self._command_left = 0 if self._page.pop()[4] is not None else self._command_left
        self._turn_page()
        return self.rules.late

    def _compare_sums(self) -> None:
        manifest = self._manifest
        totals = totals_of((name, kind, credits) for (name, kind), credits in self._sums.items())
        for what, found, said in (
            ("events", {"all": self.count}, {"all": manifest.events}),
            ("events", self._types, manifest.types),
            ("credits", totals, manifest.totals),
        ):
            for name in sorted(found.keys() | said.keys()):
                counted, claimed = found.get(name, 0), said.get(name, 0)
                if counted != claimed:
                    message = f"{name}: {counted} {what} in the file, the manifest says {claimed}"
                    self._damage("manifest", None, message)
        ends = self._times[:1] + self._times[-1:]
        for at, time_us in zip((manifest.first_at, manifest.last_at), ends, strict=False):
            if at != time_text(time_us):
                self._damage("manifest", None, f"the manifest says {at}, the row {time_text(time_us)}")


def for_rules(row: Recorded) -> RulesRow:
    data = row.data if row.type in READ else None
    return row.position, row.stream, row.version, row.type, row.command_events, row.recorded_at_us, data


def _fits(previous: bytes, row: Recorded) -> bool:
    return _hash_after(previous, row) == row.hash


def _hash_after(previous: bytes, row: Recorded) -> bytes | None:
    """Hash the row should have; None when its fields cannot be hashed."""
    try:
        return event_hash(previous, row)
    except (struct.error, UnicodeError):
        return None


_TELL_EVERY = 2000
_ROWS_MORE_MAX = 10_000
_LATE_AT_ONCE = 100_000
"""Events of jobs that were over already; each needs its job's history."""

Progress = Callable[[int], None]
"""Called with the position reached."""


def verify_file(
    path: Path,
    manifest: Manifest,
    *,
    checkpoints: Sequence[Checkpoint] = (),
    progress: Progress = lambda position: None,
) -> Findings:
    """Findings of the whole file: bytes, rows and rules. Raises ManifestError when it cannot be read."""
    findings = Findings()
    check = FileCheck(manifest, findings, checkpoints)
    try:
        size_bytes = path.stat().st_size
        if size_bytes != manifest.size_bytes:
            message = f"the file has {size_bytes} bytes, the manifest says {manifest.size_bytes}"
            findings.add("file", None, message)
        elif sha256_of(path) != manifest.sha256:
            findings.add("file", None, "the file's SHA-256 is not that in the manifest: bytes were changed")
        for row in rows(path, manifest.format):
            check.add(row)
            if check.count % _TELL_EVERY == 0:
                progress(manifest.first_position + check.count - 1)
            if check.count > manifest.events + _ROWS_MORE_MAX:
                message = f"the file holds many more rows than the {manifest.events} it should"
                findings.add("file", None, message)
                return findings
        late = check.finish()
        if check.rules is not None and check.sound:
            for begin in range(0, len(late), _LATE_AT_ONCE):
                _judge(path, manifest, check.rules, late[begin : begin + _LATE_AT_ONCE], findings)
            check.rules.finish()
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from None
    return findings


def _judge(
    path: Path, manifest: Manifest, rules: Rules, late: Sequence[RulesRow], findings: Findings
) -> None:
    """Judge late events with their jobs' histories, from another reading."""
    histories: dict[str, list[RulesRow]] = {job_stream_of(row): [] for row in late}
    for read in rows(path, manifest.format):
        assert isinstance(read, Recorded)
        if read.stream in histories or read.type in ("CreditsCharged", "CreditsRefunded"):
            row = for_rules(read)
            if (history := histories.get(job_stream_of(row))) is not None:
                history.append(row)
    for row in late:
        rules.jobs.spent += judge(findings, row, histories[job_stream_of(row)])
