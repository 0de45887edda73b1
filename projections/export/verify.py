"""Checks an exported file against its manifest and itself, offline.

The chain shows what was changed, added or taken out, and where. What it cannot show is that file and manifest
were made anew together, or end early: for that, hold a checkpoint against the file that was signed elsewhere.

A file that begins at position 1 is the whole log so far, and all rules are checked on it: stream versions, no
overdraft, one outcome for every charge, books at zero.
"""

from collections.abc import Callable, Iterator, Sequence, Set
from pathlib import Path

from events.envelope import Cursor, Recorded
from events.streams import JOB
from projections.errors import BadManifest
from projections.export.check import FileCheck, for_rules
from projections.export.manifest import Manifest
from projections.export.read import rows, sha256_of
from projections.problems import Findings
from projections.verify.late import job_stream_of, judge
from projections.verify.rules import Rules
from projections.verify.shapes import Row as RulesRow

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
    checkpoint: Cursor | None = None,
    progress: Progress = lambda position: None,
) -> Findings:
    """What is wrong with the file, and where. Raises BadManifest when the file cannot be read."""
    findings = Findings()
    check_bytes(path, manifest, findings)
    check_rows(path, manifest, findings, checkpoint=checkpoint, progress=progress)
    return findings


def check_bytes(path: Path, manifest: Manifest, findings: Findings) -> None:
    """Whether the file is, byte for byte, the one the manifest speaks of. Raises BadManifest."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes != manifest.size_bytes:
            message = f"the file has {size_bytes} bytes, the manifest says {manifest.size_bytes}"
            findings.add("file", None, message)
        elif sha256_of(path) != manifest.sha256:
            findings.add("file", None, "the file's SHA-256 is not that in the manifest: bytes were changed")
    except OSError as error:
        raise BadManifest(f"{path} cannot be read: {error.strerror}") from None


def check_rows(
    path: Path,
    manifest: Manifest,
    findings: Findings,
    *,
    checkpoint: Cursor | None = None,
    progress: Progress = lambda position: None,
) -> None:
    """Whether its rows are what was written, and keep the rules. Raises BadManifest."""
    check = FileCheck(manifest, findings, checkpoint)
    try:
        for row in rows(path, manifest.format):
            check.add(row)
            if check.count % _TELL_EVERY == 0:
                progress(manifest.first_position + check.count - 1)
            if check.count > manifest.events + _ROWS_MORE_MAX:
                message = f"the file holds many more rows than the {manifest.events} it should"
                findings.add("file", None, message)
                return
        late = check.finish()
        if check.rules is not None and check.sound:
            for begin in range(0, len(late), _LATE_AT_ONCE):
                _judge(path, manifest, check.rules, late[begin : begin + _LATE_AT_ONCE], findings)
            check.rules.finish()
    except OSError as error:
        raise BadManifest(f"{path} cannot be read: {error.strerror}") from None


def _judge(
    path: Path, manifest: Manifest, rules: Rules, late: Sequence[RulesRow], findings: Findings
) -> None:
    """Judge events of jobs that were over, with those jobs' histories from another reading."""
    histories: dict[str, list[RulesRow]] = {job_stream_of(row): [] for row in late}
    for row in _histories(path, manifest, histories.keys()):
        histories[job_stream_of(row)].append(row)
    for row in late:
        rules.jobs.spent += judge(findings, row, histories[job_stream_of(row)])


def _histories(path: Path, manifest: Manifest, streams: Set[str]) -> Iterator[RulesRow]:
    """The rows of some jobs, their charges and refunds."""
    for row in rows(path, manifest.format):
        assert isinstance(row, Recorded)
        of_job = row.stream.startswith(JOB)
        if of_job and row.stream not in streams:
            continue
        if not of_job and row.type not in ("CreditsCharged", "CreditsRefunded"):
            continue
        found = for_rules(row)
        if job_stream_of(found) in streams:
            yield found
