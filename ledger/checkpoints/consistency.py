"""Consistency proofs of two checkpoints: files checked without a database.

    old <size of the older tree>
    <hashes, base64, one a line>
    <empty line>
    <the later checkpoint's note>

That is what C2SP tlog-witness takes as the body of `add-checkpoint`.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import Final

from ledger.checkpoints.checkpoint import Checkpoint, parse
from ledger.checkpoints.merkle import is_consistent
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.proof import ProofError
from ledger.errors import IntegrityError
from ledger.postgres import Reader

HASHES_MAX: Final = 63


def encode(old: int, hashes: Sequence[bytes], note: str) -> str:
    lines = [f"old {old}", *(base64.b64encode(hash_).decode() for hash_ in hashes)]
    return "\n".join(lines) + "\n\n" + note


def decode(text: bytes) -> tuple[int, list[bytes], str]:
    """Size, hashes and note of a file. Raises ProofError, NoteError."""
    try:
        head, _, note = text.decode().partition("\n\n")
        first, *lines = head.split("\n")
        hashes = [base64.b64decode(line, validate=True) for line in lines]
        old = int(first.removeprefix("old "))
        if encode(old, hashes, note).encode() != text or any(len(hash_) != 32 for hash_ in hashes):
            raise ValueError(first)
    except (ValueError, binascii.Error):
        said = "the file is no consistency proof, or is written in another way than we do"
        raise ProofError(said) from None
    return old, hashes, note


def compare(old: Checkpoint, new: Checkpoint, file: bytes | None = None) -> None:
    """Raise ProofError unless the log of `new` begins with `old`'s.

    Both notes' signatures were checked. `file` proves it; of one size, or from nothing, none is needed.
    """
    if old.origin != new.origin:
        raise ProofError(f"the checkpoints are of two logs, {old.origin} and {new.origin}")
    if old.size > new.size:
        said = f"the first checkpoint is the later one: {old.size} events, then {new.size}"
        raise ProofError(said, new.size)
    hashes: list[bytes] = []
    if file is not None:
        size, hashes, note = decode(file)
        if size != old.size or parse(note) != new:
            raise ProofError("the proof is of two other checkpoints")
    if file is None and 0 < old.size < new.size:
        raise ProofError(
            "a proof is needed; who runs the log makes it: `neurocards ledger prove --consistency OLD NEW`"
        )
    sizes = (old.size, old.root, new.size, new.root)
    fits = len(hashes) <= HASHES_MAX and is_consistent(*sizes, hashes) if old.size else not hashes
    if not fits:
        raise ProofError(f"the log of {new.size} events does not begin with that of {old.size}", old.size)


async def prove(reader: Reader, old: Checkpoint, new: Checkpoint, note: str) -> str:
    """The file, checked; `note` is that of `new`. Raises IntegrityError when the log is another."""
    for tiles in (True, False):
        hashes = await Tree(reader, tiles=tiles).consistency(old.size, new.size) if old.size else []
        file = encode(old.size, hashes, note)
        try:
            compare(old, new, file.encode())
            return file
        except ProofError as error:
            wrong = error
    raise IntegrityError(f"the log cannot prove it: {wrong}")
