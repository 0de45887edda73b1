"""Manifest of an exported file: `FILE.manifest.json`."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec

from events.account import CreditEvent
from events.envelope import GENESIS_HASH
from projections.engine.errors import ManifestError

Format = Literal["jsonl", "csv"]

COLUMNS: Final = (
    "position",
    "stream",
    "version",
    "type",
    "data",
    "key",
    "body_hash",
    "command_events",
    "writer",
    "recorded_at_us",
    "hash",
)
"""Of every row, in this order; hashes in hexadecimal, `data` as the exact JSON text that was hashed."""

MANIFEST_BYTES_MAX = 1_000_000
USERS = "user"

_MOVES: Final = {cls.__name__: cls for cls in get_args(CreditEvent)}


Positive = Annotated[int, msgspec.Meta(gt=0)]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Contents of an export: positions `first_position` … `last_position`, each once, in order.

    `hash_before` is that of the position before the first (zeros before position 1), `head_hash` that of the
    last. `totals` are credits moved in these rows by account of the books, all users in one. Times are ISO
    8601 in UTC.
    """

    format: Format
    file: str
    first_position: Positive
    last_position: int
    events: int
    hash_before: str
    head_hash: str
    first_at: str | None
    last_at: str | None
    types: dict[str, int]
    totals: dict[str, int]
    size_bytes: int
    sha256: str
    made_at: str
    manifest_version: Literal[1] = 1
    columns: tuple[str, ...] = COLUMNS

    def text(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self, order="deterministic")).decode() + "\n"


def path_of(file: Path) -> Path:
    return file.parent / f"{file.name}.manifest.json"


def read_manifest(path: Path) -> Manifest:
    """Raises ManifestError."""
    try:
        with path.open("rb") as opened:
            raw = opened.read(MANIFEST_BYTES_MAX + 1)
    except OSError as error:
        raise ManifestError(f"the manifest {path} cannot be read: {error.strerror}") from None
    if len(raw) > MANIFEST_BYTES_MAX:
        raise ManifestError(f"the manifest {path} is longer than {MANIFEST_BYTES_MAX} bytes: it is none")
    try:
        found = msgspec.json.decode(raw, type=Manifest)
        for digest in (found.hash_before, found.head_hash, found.sha256):
            if len(bytes.fromhex(digest)) != 32:
                raise ValueError("a hash has 64 hexadecimal digits")
        if found.first_position == 1 and found.hash_before != GENESIS_HASH.hex():
            raise ValueError("before position 1 the hash is all zeros")
        if found.last_position < found.first_position - 1 or found.columns != COLUMNS:
            raise ValueError("its positions or columns cannot be those of an export")
    except (msgspec.DecodeError, ValueError) as error:
        raise ManifestError(f"the manifest {path} is not one: {error}") from None
    return found


def totals_of(moved: Iterable[tuple[str, str | None, int]]) -> dict[str, int]:
    """Credits by account of the books, from (event type, kind, credits)."""
    totals: Counter[str] = Counter()
    for type_name, kind, credits in moved:
        moves = _MOVES.get(type_name)
        if moves is not None:
            totals[moves.book.format(kind=kind)] -= moves.sign * credits
            totals[USERS] += moves.sign * credits
    return dict(sorted(totals.items()))
