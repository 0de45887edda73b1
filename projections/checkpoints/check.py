"""Holds the log against signed statements: whether it still is what was signed."""

from collections.abc import Sequence

import msgspec

from ledger.checkpoints.checkpoint import Checkpoint, Restored, Statement
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.signed_note import PublicKey
from ledger.checkpoints.store import newest_checkpoint, restorations_in, stored, verdict
from ledger.errors import IntegrityError
from ledger.postgres import Pool
from projections.checkpoints.sign import rebuilt_states
from projections.engine.errors import NotInLogError


class Mismatch(msgspec.Struct, frozen=True):
    """One way in which the log is not what was signed; `position` is None when it cannot be said where."""

    kind: str
    position: int | None
    message: str


class Answer(msgspec.Struct, frozen=True):
    """No `damage`: the log holds what was signed, unless `explained_by` says that it was lost knowingly."""

    damage: list[Mismatch]
    explained_by: Restored | None = None


async def verify_statement(
    pool: Pool,
    statement: Statement,
    keys: Sequence[PublicKey],
    extra_notes: Sequence[str] = (),
    *,
    deep: bool = False,
) -> Answer:
    """Compare the log with a statement whose signature was checked.

    Restorations count that stand in the table or among `extra_notes` and are signed by one of `keys`. `deep`
    folds the log again for the states. Reads the hash of every position up to the statement's.
    """
    told = [note.note for note in await stored(pool, kind="restored")]
    head = statement.head
    answer = await verdict(pool, head, statement.time_us, restorations_in([*told, *extra_notes], keys))
    if answer.explained_by is not None:
        return Answer([], answer.explained_by)
    if not answer.held:
        behind = await pool.fetchval("SELECT pg_is_in_recovery()")
        hint = "; this is a replica, which may only be behind: ask the primary" if behind else ""
        return Answer([Mismatch("log", head.position, answer.wrong + hint)])
    if not isinstance(statement, Checkpoint):
        return Answer([])
    return Answer([*await _root(pool, statement), *(await _deep(pool, statement) if deep else [])])


async def _root(pool: Pool, checkpoint: Checkpoint) -> list[Mismatch]:
    """Never from the cached tiles: those may be damaged like everything else."""
    size = checkpoint.head.position
    try:
        if await Tree(pool, tiles=False).root(size) == checkpoint.root:
            return []
    except IntegrityError as error:
        return [Mismatch("root", None, str(error))]
    return [
        Mismatch(
            "root", None,
            f"the hashes of positions 1 to {size} are not those that were signed, though the last one is: "
            "`neurocards ledger verify` finds the first that does not follow",
        )
    ]  # fmt: skip


async def _deep(pool: Pool, checkpoint: Checkpoint) -> list[Mismatch]:
    try:
        return [Mismatch("state", None, wrong) for wrong in await rebuilt_states(pool, checkpoint)]
    except IntegrityError as error:
        return [Mismatch("sequence", None, str(error))]


async def covering_note(pool: Pool, position: int) -> str:
    """The newest stored checkpoint that covers a position. Raises NotInLogError when there is none yet."""
    note = await newest_checkpoint(pool, at_least=position)
    if note is None:
        raise NotInLogError(
            f"position {position} is under no checkpoint yet: make one with `neurocards ledger checkpoint`"
        )
    return note.note
