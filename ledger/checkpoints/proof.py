"""Inclusion proofs of single events: files checked without a database.

JSON: `format`, `checkpoint` (the whole signed note) and `events`. Each event has every column of its row
(`data` is the exact text, hashes are hexadecimal), the hash `previous` to it, and its `path` through the
Merkle tree, nearest first.
"""

import struct
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import structlog

from events.envelope import Recorded
from events.stream_names import job_of, job_stream
from ledger.checkpoints.checkpoint import Checkpoint, open_checkpoint, parse, require_checkpoint
from ledger.checkpoints.merkle import leaf_hash, root_of_path
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.signed_note import PublicKey
from ledger.checkpoints.store import hash_at
from ledger.errors import IntegrityError
from ledger.log.hash_chain import follows
from ledger.postgres import Reader
from ledger.sql import load_queries

query = load_queries("ledger.checkpoints")
log_query = load_queries("ledger.log")

logger = structlog.get_logger()

FORMAT: Final = "neurocards proof 1"
EVENTS_MAX: Final = 10_000
PROOF_BYTES_MAX: Final = 64_000_000


class ProofError(IntegrityError):
    """The file proves nothing, or not what it says. `position` is None when it is about the whole file."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]


class ProvenEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Event with its path to the checkpoint's root. Hashes are hexadecimal."""

    position: int
    stream: str
    version: int
    type: str
    data: str
    key: str | None
    body_hash: Digest | None
    command_events: int | None
    writer: str | None
    recorded_at_us: int
    hash: Digest
    previous: Digest
    path: list[Digest]


class Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    checkpoint: str
    events: list[ProvenEvent]


def proven(event: Recorded, previous: bytes, path: Sequence[bytes]) -> ProvenEvent:
    fields = {name: getattr(event, name) for name in Recorded.__struct_fields__}
    fields["hash"] = event.hash.hex()
    fields["body_hash"] = event.body_hash.hex() if event.body_hash is not None else None
    return ProvenEvent(**fields, previous=previous.hex(), path=[hash_.hex() for hash_ in path])


def encode(checkpoint: str, events: list[ProvenEvent]) -> str:
    raw = msgspec.json.encode(Proof(FORMAT, checkpoint, events))
    return msgspec.json.format(raw, indent=1).decode() + "\n"


def decode(text: bytes) -> Proof:
    """Parse a proof file, which has one form. Raises ProofError."""
    if len(text) > PROOF_BYTES_MAX:
        raise ProofError(f"the file is larger than {PROOF_BYTES_MAX} bytes: no proof is")
    try:
        proof = msgspec.json.decode(text, type=Proof)
        if encode(proof.checkpoint, proof.events).encode() != text:
            raise ValueError("it is not written as we write it: a field twice, or numbers in another form")
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise ProofError(f"the file is no proof: {error}") from None
    if proof.format != FORMAT or not 0 < len(proof.events) <= EVENTS_MAX:
        raise ProofError(f"the file is no proof: it is not in the format {FORMAT!r}, or has no events")
    return proof


def verify(proof: Proof, *keys: PublicKey) -> tuple[Checkpoint, list[Recorded]]:
    """Check a proof's events and checkpoint. Raises NoteError (no signature of `keys`) or ProofError."""
    checkpoint = open_checkpoint(proof.checkpoint, *keys)
    return checkpoint, [verify_event(entry, checkpoint) for entry in proof.events]


def verify_event(entry: ProvenEvent, checkpoint: Checkpoint) -> Recorded:
    """The event, if all its fields are under the root. Raises ProofError."""
    at, size = entry.position, checkpoint.size
    fields = {name: getattr(entry, name) for name in Recorded.__struct_fields__}
    fields["hash"] = bytes.fromhex(entry.hash)
    fields["body_hash"] = bytes.fromhex(entry.body_hash) if entry.body_hash is not None else None
    event, path = Recorded(**fields), [bytes.fromhex(hash_) for hash_ in entry.path]
    if not 0 < at <= size:
        raise ProofError(f"position {at} is not under the checkpoint, which covers 1 to {size}", at)
    try:
        right = follows(bytes.fromhex(entry.previous), event)
    except (struct.error, UnicodeEncodeError):
        raise ProofError(f"position {at}: a field is out of its range", at) from None
    if not right:
        raise ProofError(f"position {at}: the event's fields do not give its hash; one was changed", at)
    if root_of_path(at - 1, size, leaf_hash(event.hash), path) != checkpoint.root:
        raise ProofError(f"position {at}: the event is not what was signed; its path ends elsewhere", at)
    return event


async def positions_of(reader: Reader, name: str) -> list[int]:
    """Positions of a job, order, payment, charge or position, in order.

    A charge is named by its job, a payment by our id or as `yookassa:<the provider's>`. Empty when nothing
    has that name.
    """
    if name.isascii() and name.isdigit() and len(name) < 19 and await hash_at(reader, int(name)):
        return [int(name)] if int(name) else []
    made = await reader.fetch(query("command_made"), [f"order:{name}", f"payment:{name}", name])
    jobs = sorted({name} | {job for row in made if (job := job_of(row["stream"])) is not None})
    streams = [*map(job_stream, jobs), f"payment-{name}"]
    rows = await reader.fetch(query("positions_of"), streams, jobs, name, EVENTS_MAX)
    return sorted({row["position"] for row in [*made, *rows]})[:EVENTS_MAX]


async def prove(reader: Reader, positions: Sequence[int], checkpoint_note: str) -> list[ProvenEvent]:
    """Proofs of these positions, each checked.

    Raises IntegrityError when the log is not what the checkpoint says; its signature is not looked at.
    """
    checkpoint = require_checkpoint(parse(checkpoint_note))
    found = []
    for position in positions:
        try:
            found.append(await _prove_one(reader, position, checkpoint, tiles=True))
        except ProofError as error:
            logger.warning("proof_made_anew", position=position, reason=str(error))
            found.append(await _prove_one(reader, position, checkpoint, tiles=False))
    return found


async def _prove_one(reader: Reader, position: int, checkpoint: Checkpoint, *, tiles: bool) -> ProvenEvent:
    rows = await reader.fetch(log_query("events_after"), position - 1, 1)
    previous = await hash_at(reader, position - 1)
    if not rows or rows[0]["position"] != position or previous is None:
        raise IntegrityError(f"the log has no position {position}, or none before it")
    if not 0 < position <= checkpoint.size:
        raise ProofError(f"position {position} is not under the checkpoint", position)
    path = await Tree(reader, tiles=tiles).path(position, checkpoint.size)
    entry = proven(Recorded(*rows[0]), previous, path)
    verify_event(entry, checkpoint)
    return entry
