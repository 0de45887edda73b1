"""Manifest of an exported file: `FILE.manifest.json`."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec

from events.account import CreditEvent
from events.envelope import GENESIS_HASH, Recorded
from ledger.checkpoints.checkpoint import AHEAD_US_MAX, Checkpoint, parse, require_checkpoint, time_of
from ledger.checkpoints.merkle import nodes_of
from ledger.checkpoints.proof import Digest
from ledger.checkpoints.signed_note import NoteError
from projections.engine.errors import MalformedManifestError, ManifestError

Format = Literal["jsonl", "csv"]

COLUMNS: Final = Recorded.__struct_fields__
"""Of every row, in this order; hashes in hexadecimal, `data` as the exact JSON text that was hashed."""

MANIFEST_BYTES_MAX = 64_000_000
USERS = "user"

_MOVES: Final = {cls.__name__: cls for cls in get_args(CreditEvent)}


Positive = Annotated[int, msgspec.Meta(gt=0, le=2**63 - 1)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contents of an export: positions `first_position` … `last_position`, each once, in order.

    `hash_before` is that of the position before the first (zeros before position 1), `head_hash` that of the
    last. `totals` are credits moved in these rows by account of the books, all users in one. Times are ISO
    8601 in UTC. `left` and `right` are the Merkle tree's nodes beside these rows, as `merkle.nodes_of`: with
    them they give the root of the checkpoint `note`, which is None when none reached so far. `decided`: when
    events about credits were decided that were stamped while clocks disagreed, in epoch microseconds by
    position, from position 1 on; nothing signed vouches for it.
    """

    format: Format
    file: str
    first_position: Positive
    last_position: int
    events: int
    hash_before: Digest
    head_hash: Digest
    first_at: str | None
    last_at: str | None
    types: dict[str, int]
    totals: dict[str, int]
    size_bytes: int
    sha256: Digest
    made_at: str
    decided: dict[Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,18}\Z")], int] = {}
    left: tuple[Digest, ...] = ()
    right: tuple[Digest, ...] = ()
    note: str | None = None
    manifest_version: Literal[1] = 1
    columns: tuple[str, ...] = COLUMNS

    def checkpoint(self) -> Checkpoint | None:
        """What `note` says; its signature is not looked at. Raises NoteError."""
        return None if self.note is None else require_checkpoint(parse(self.note))

    def text(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic")).decode() + "\n"


def path_of(file: Path) -> Path:
    return file.parent / f"{file.name}.manifest.json"


def read_manifest(path: Path) -> Manifest:
    """Raises ManifestError without one, MalformedManifestError for a forged one."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MANIFEST_BYTES_MAX + 1)
    except OSError as error:
        raise ManifestError(f"the manifest {path} cannot be read: {error.strerror}") from None
    if len(raw) > MANIFEST_BYTES_MAX:
        raise MalformedManifestError(f"it is longer than {MANIFEST_BYTES_MAX} bytes")
    try:
        found = msgspec.json.decode(raw, type=Manifest)
        if found.text().encode() != raw:
            raise ValueError("it is not written as we write it: a field twice, or numbers in another form")
        if found.first_position == 1 and found.hash_before != GENESIS_HASH.hex():
            raise ValueError("before position 1 the hash is all zeros")
        if found.last_position < found.first_position - 1 or found.columns != COLUMNS:
            raise ValueError("its positions or columns cannot be those of an export")
        _require_times(found)
        signed, last = found.checkpoint(), found.last_position
        if signed is not None and signed.size < last:
            raise ValueError(f"its checkpoint reaches {signed.size}, not {last}")
        right = nodes_of(last, signed.size) if signed else []
        if (len(found.left), len(found.right)) != (len(nodes_of(0, found.first_position - 1)), len(right)):
            raise ValueError("there are not as many nodes beside its rows as there must be")
    except (msgspec.DecodeError, NoteError, ValueError, OverflowError) as error:
        raise MalformedManifestError(str(error)) from None
    return found


def _require_times(manifest: Manifest) -> None:
    """Raise ValueError for what is no time, or made after now."""
    ends = (manifest.first_at, manifest.last_at)
    if any((at is None) != (manifest.events == 0) for at in ends):
        raise ValueError("it says when its rows begin and end though it has none, or the other way round")
    *_, made_us = [time_of(at) for at in (*ends, manifest.made_at) if at is not None]
    if made_us > time.time_ns() // 1000 + AHEAD_US_MAX:
        raise ValueError("it was made later than now")


def totals_of(moved: Iterable[tuple[str, str | None, int]]) -> dict[str, int]:
    """Credits by account of the books, from (event type, kind, credits)."""
    totals: Counter[str] = Counter()
    for type_name, kind, credits in moved:
        moves = _MOVES.get(type_name)
        if moves is not None:
            totals[moves.book.format(kind=kind)] -= moves.sign * credits
            totals[USERS] += moves.sign * credits
    return dict(sorted(totals.items()))
