"""Proofs that single events are under a checkpoint: small files that are checked without a database. Pure.

JSON: `format`, `checkpoint` (the whole signed note) and `events`. Each event has every column of its row
(`data` is the exact text, hashes are hexadecimal), the hash `previous` to it, and its `path` through the
Merkle tree, nearest first.
"""

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from events.envelope import Recorded
from ledger.checkpoints.checkpoint import Checkpoint, parse_checkpoint
from ledger.checkpoints.merkle import leaf_hash, root_of_path
from ledger.checkpoints.signed_note import PublicKey, open_note
from ledger.errors import IntegrityError
from ledger.log.hash_chain import follows

FORMAT: Final = "neurocards proof 1"
EVENTS_MAX: Final = 10_000
PROOF_BYTES_MAX: Final = 64_000_000


class ProofError(IntegrityError):
    """The file proves nothing, or not what it says. `position` is where, None when it is the whole file."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class ProvenEvent(msgspec.Struct, frozen=True):
    """One event with what leads from it to the checkpoint's root. Hashes are hexadecimal."""

    position: int
    stream: str
    version: int
    type: str
    data: str
    key: str | None
    body_hash: str | None
    command_events: int | None
    recorded_at_us: int
    hash: str
    previous: str
    path: list[str]


class Proof(msgspec.Struct, frozen=True):
    """What stands in the file."""

    format: str
    checkpoint: str
    events: list[ProvenEvent]


def proven(event: Recorded, previous: bytes, path: Sequence[bytes]) -> ProvenEvent:
    """An event and its proof, as they stand in the file."""
    fields = {name: getattr(event, name) for name in Recorded.__struct_fields__}
    fields["hash"] = event.hash.hex()
    fields["body_hash"] = event.body_hash.hex() if event.body_hash is not None else None
    return ProvenEvent(**fields, previous=previous.hex(), path=[hash_.hex() for hash_ in path])


def encode(checkpoint: str, events: list[ProvenEvent]) -> str:
    """The file's text."""
    raw = msgspec.json.encode(Proof(FORMAT, checkpoint, events))
    return msgspec.json.format(raw, indent=1).decode() + "\n"


def decode(text: bytes) -> Proof:
    """The reverse. Raises ProofError when the text is no proof."""
    if len(text) > PROOF_BYTES_MAX:
        raise ProofError(f"the file is larger than {PROOF_BYTES_MAX} bytes: no proof is")
    try:
        proof = msgspec.json.decode(text, type=Proof)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProofError(f"the file is no proof: {error}") from None
    if proof.format != FORMAT or not 0 < len(proof.events) <= EVENTS_MAX:
        raise ProofError(f"the file is no proof: it is not in the format {FORMAT!r}, or has no events")
    return proof


def verify(proof: Proof, *keys: PublicKey) -> tuple[Checkpoint, list[Recorded]]:
    """The checkpoint and the events, which are as they were when one of `keys` signed.

    Raises NoteError when it did not, and ProofError when an event is not under the checkpoint.
    """
    checkpoint = parse_checkpoint(open_note(proof.checkpoint, *keys))
    return checkpoint, [verify_event(entry, checkpoint) for entry in proof.events]


def verify_event(entry: ProvenEvent, checkpoint: Checkpoint) -> Recorded:
    """The event, if every field of it is under the checkpoint's root. Raises ProofError."""
    at, size = entry.position, checkpoint.head.position
    try:
        event = _recorded(entry)
        previous = bytes.fromhex(entry.previous)
        path = [bytes.fromhex(hash_) for hash_ in entry.path]
    except ValueError:
        raise ProofError(f"position {at}: a hash is not hexadecimal", at) from None
    if not 0 < at <= size:
        raise ProofError(f"position {at} is not under the checkpoint, which covers 1 to {size}", at)
    try:
        right = follows(previous, event)
    except (struct.error, UnicodeEncodeError):
        raise ProofError(f"position {at}: a field is out of its range", at) from None
    if not right:
        raise ProofError(f"position {at}: the event's fields do not give its hash; one was changed", at)
    if root_of_path(at - 1, size, leaf_hash(event.hash), path) != checkpoint.root:
        raise ProofError(f"position {at}: the event is not what was signed; its path ends elsewhere", at)
    if at == size and event.hash != checkpoint.head.hash:
        raise ProofError(f"position {at}: the checkpoint names another head", at)
    return event


def _recorded(entry: ProvenEvent) -> Recorded:
    body_hash = bytes.fromhex(entry.body_hash) if entry.body_hash is not None else None
    return Recorded(
        entry.position, entry.stream, entry.version, entry.type, entry.data, entry.key, body_hash,
        entry.command_events, entry.recorded_at_us, bytes.fromhex(entry.hash),
    )  # fmt: skip
