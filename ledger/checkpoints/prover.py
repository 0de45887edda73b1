"""Makes proofs: finds the events that a name stands for and leads each to a checkpoint's root."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import structlog

from events.envelope import Recorded
from events.stream_names import job_of, job_stream
from ledger.checkpoints.checkpoint import Checkpoint, parse_checkpoint
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.proof import EVENTS_MAX, ProofError, ProvenEvent, proven, verify_event
from ledger.checkpoints.signed_note import unverified_text
from ledger.checkpoints.store import hash_at
from ledger.errors import IntegrityError
from ledger.sql import load_queries

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Reading = (
        asyncpg.Connection[asyncpg.Record]
        | PoolConnectionProxy[asyncpg.Record]
        | asyncpg.Pool[asyncpg.Record]
    )

query = load_queries("ledger.checkpoints")
log_query = load_queries("ledger.log")

logger = structlog.get_logger()


async def positions_of(reading: "Reading", name: str) -> list[int]:
    """The positions that a name stands for, in order: a position itself, or a job, order, payment or charge.

    A charge is named by its job, a payment by our id or as `yookassa:<the provider's>`. Empty when there is
    nothing of that name.
    """
    if name.isascii() and name.isdigit() and len(name) < 19 and await hash_at(reading, int(name)):
        return [int(name)] if int(name) else []
    made = await reading.fetch(query("command_made"), [f"order:{name}", f"payment:{name}", name])
    jobs = sorted({name} | {job for row in made if (job := job_of(row["stream"])) is not None})
    streams = [*map(job_stream, jobs), f"payment-{name}"]
    rows = await reading.fetch(query("positions_of"), streams, jobs, name, EVENTS_MAX)
    return sorted({row["position"] for row in [*made, *rows]})[:EVENTS_MAX]


async def prove(reading: "Reading", positions: Sequence[int], checkpoint_note: str) -> list[ProvenEvent]:
    """The proofs of these positions, each checked before it is given.

    Raises IntegrityError when the log is not what the checkpoint says; its signature is not looked at.
    """
    checkpoint = parse_checkpoint(unverified_text(checkpoint_note))
    found = []
    for position in positions:
        try:
            found.append(await _prove_one(reading, position, checkpoint, tiles=True))
        except ProofError as error:
            logger.warning("proof_made_anew", position=position, reason=str(error))
            found.append(await _prove_one(reading, position, checkpoint, tiles=False))
    return found


async def _prove_one(
    reading: "Reading", position: int, checkpoint: Checkpoint, *, tiles: bool
) -> ProvenEvent:
    rows = await reading.fetch(log_query("events_after"), position - 1, 1)
    previous = await hash_at(reading, position - 1)
    if not rows or rows[0]["position"] != position or previous is None:
        raise IntegrityError(f"the log has no position {position}, or none before it")
    if not 0 < position <= checkpoint.head.position:
        raise ProofError(f"position {position} is not under the checkpoint", position)
    path = await Tree(reading, tiles=tiles).path(position, checkpoint.head.position)
    entry = proven(Recorded(*rows[0]), previous, path)
    verify_event(entry, checkpoint)
    return entry
