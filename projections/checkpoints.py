"""Make checkpoints, and verify the log against signed statements.

A checkpoint is one snapshot of the log's head, every projection and the books, signed and stored. A log that
contradicts what was signed before is not signed, unless a restoration explains it.
"""

import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import structlog

from events.envelope import Cursor
from ledger.checkpoints.checkpoint import (
    Books,
    Checkpoint,
    Restored,
    SignedState,
    Statement,
    parse,
    time_text,
)
from ledger.checkpoints.merkle_store import Tree, forget_tiles
from ledger.checkpoints.signed_note import NoteError, PrivateKey, PublicKey, open_note
from ledger.checkpoints.store import (
    StoredNote,
    hash_at,
    newest_checkpoint,
    recent_notes,
    restorations_in,
    store,
    stored,
    verdict,
)
from ledger.errors import IntegrityError, LedgerError
from ledger.log.reader import LogReader
from ledger.postgres import Connection, Pool
from ledger.sql import load_queries
from projections.engine.errors import NotInLogError
from projections.engine.projection import AnyProjection
from projections.engine.registry import PROJECTIONS
from projections.engine.state_root import RootHash, build
from projections.engine.tables import Table
from projections.models.balances import BALANCES

query = load_queries("ledger.checkpoints")
engine_query = load_queries("projections.engine")

logger = structlog.get_logger()

TOTALS: Final = ("granted", "charged", "refunded", "revoked", "expired", "balance", "debt")
"""What is added up over all accounts: balance = granted - charged + refunded - revoked - expired."""
_LOCK: Final = 7_300_004


class CheckpointUnderWayError(LedgerError):
    """Another process is making a checkpoint at this moment."""


async def make_checkpoint(
    pool: Pool, key: PrivateKey, *, kept_notes: Sequence[str] = (), every_s: float = 0
) -> StoredNote | None:
    """Sign and store a checkpoint; None if one is younger than `every_s`.

    `kept_notes`, from outside the database, must not be contradicted either. Raises CheckpointUnderWayError,
    and IntegrityError when nothing may be signed: stop and run `neurocards recover`.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read"):
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
            raise CheckpointUnderWayError("another process is making a checkpoint; ask again in a moment")
        row = await connection.fetchrow(query("signing_head"))
        assert row is not None
        head, now_us = Cursor(row["position"], row["hash"]), row["now_us"]
        signed = _signed([*await recent_notes(connection), *kept_notes], key.public)
        earlier = [statement for statement in signed if isinstance(statement, Checkpoint)]
        # One that was made later than now was made by a clock that was ahead.
        if any(0 <= now_us - one.time_us < every_s * 1_000_000 for one in earlier):
            return None
        last = await _last_kept(connection, earlier, [s for s in signed if isinstance(s, Restored)])
        root = await _root(connection, head, last)
        states, books = await _states(connection)
        checkpoint = Checkpoint(key.name, head, root, states, books, now_us)
        made = await store(connection, key.sign(checkpoint.text()))
    logger.info("checkpoint_made", position=head.position, number=made.number)
    return made


def _signed(notes: Iterable[str], key: PublicKey) -> list[Statement]:
    """Statements this key has signed; `verify-checkpoint` judges those of earlier keys."""
    found: list[Statement] = []
    for note in notes:
        with contextlib.suppress(NoteError):
            found.append(parse(open_note(note, key)))
    return found


async def _last_kept(
    connection: Connection, earlier: Iterable[Checkpoint], restorations: Sequence[Restored]
) -> Checkpoint | None:
    """The furthest checkpoint that the log holds; the chain vouches for the earlier.

    Raises IntegrityError when a further one is not in the log, and nothing explains that.
    """
    for checkpoint in sorted(earlier, key=lambda one: one.head.position, reverse=True):
        answer = await verdict(connection, checkpoint.head, checkpoint.time_us, restorations)
        if answer.held:
            return checkpoint
        if answer.wrong:
            raise IntegrityError(
                f"nothing is signed: by the checkpoint of {time_text(checkpoint.time_us)}, {answer.wrong}; "
                "stop and run `neurocards recover`"
            )
    return None


async def _root(connection: Connection, head: Cursor, last: Checkpoint | None) -> bytes:
    """Merkle root at the head, from trusted tiles and new events."""
    size = last.head.position if last else 0
    await forget_tiles(connection, size)
    if last and await Tree(connection).root(size) != last.root:
        if await Tree(connection, tiles=False).root(size) != last.root:
            raise IntegrityError(
                f"nothing is signed: the hashes up to {size} are not those of the checkpoint of "
                f"{time_text(last.time_us)}; run `neurocards ledger verify`"
            )
        logger.error("tree_tiles_damaged", up_to=size, done="made anew from the log")
        await forget_tiles(connection)
    tree = Tree(connection)
    await tree.extend(head.position)
    return await tree.root(head.position)


async def _states(connection: Connection) -> tuple[tuple[SignedState, ...], Books | None]:
    states: list[SignedState] = []
    books: Books | None = None
    for row in await connection.fetch(engine_query("active_cursors"), sorted(PROJECTIONS)):
        projection, position = PROJECTIONS[row["name"]], row["position"]
        if await hash_at(connection, position) != row["hash"]:
            raise IntegrityError(
                f"nothing is signed: {projection.name} has come to {position}, which the log does not hold; "
                "stop and run `neurocards recover`"
            )
        root, totals = await _walk(connection, projection, row["version"])
        states.append(SignedState(projection.name, position, root))
        if projection is BALANCES:
            books = Books(position, totals)
    return tuple(sorted(states, key=lambda state: state.name)), books


async def _walk(
    connection: Connection, projection: AnyProjection, version: int
) -> tuple[str, tuple[tuple[str, int], ...]]:
    digest = RootHash(projection)
    names = [name for name in TOTALS if name in projection.columns]
    sums = dict.fromkeys(names, 0)
    async for row in Table(projection, version).scan(connection):
        digest.add(row)
        for name in names:
            sums[name] += getattr(row, name)
    return digest.hexdigest(), (("accounts", digest.rows), *sums.items())


async def rebuilt_states(pool: Pool, checkpoint: Checkpoint) -> list[str]:
    """Signed states and books that a refold of the log contradicts."""
    wrong: list[str] = []
    for state in checkpoint.states:
        if state.name not in PROJECTIONS:
            wrong.append(f"state {state.name}: there is no such projection here")
            continue
        built, rows = await build(LogReader(pool), state.name, state.position)
        if built.cursor.position != state.position:
            wrong.append(f"state {state.name}: the log ends before {state.position}")
        elif built.root != state.root:
            wrong.append(f"state {state.name} at {state.position} is {built.root}, signed was {state.root}")
        elif state.name == BALANCES.name and checkpoint.books is not None:
            wrong += _wrong_books(checkpoint.books, rows)
    return wrong


def _wrong_books(books: Books, rows: dict[str, Any]) -> list[str]:
    counted = {"accounts": len(rows)}
    counted |= {name: sum(getattr(row, name) for row in rows.values()) for name in TOTALS}
    return [
        f"books at {books.position}: {name} is {counted.get(name)}, signed was {amount}"
        for name, amount in books.totals
        if counted.get(name) != amount
    ]


# Whether the log still is what was signed.


class Mismatch(msgspec.Struct, frozen=True):
    """Difference from what was signed; `position` is None when unknown."""

    kind: str
    position: int | None
    message: str


class Answer(msgspec.Struct, frozen=True):
    """Result: `damage`, none if a restoration in `explained_by` says what was lost."""

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

    Restorations in the table and `extra_notes` count if one of `keys` signed them. `deep` folds the log again
    for the states. Reads the hash of every position up to the statement's.
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
    return Answer(
        [*await _wrong_root(pool, statement), *(await _wrong_states(pool, statement) if deep else [])]
    )


async def _wrong_root(pool: Pool, checkpoint: Checkpoint) -> list[Mismatch]:
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


async def _wrong_states(pool: Pool, checkpoint: Checkpoint) -> list[Mismatch]:
    try:
        return [Mismatch("state", None, wrong) for wrong in await rebuilt_states(pool, checkpoint)]
    except IntegrityError as error:
        return [Mismatch("sequence", None, str(error))]


async def covering_note(pool: Pool, position: int) -> str:
    """The newest stored checkpoint over a position. Raises NotInLogError without."""
    note = await newest_checkpoint(pool, at_least=position)
    if note is None:
        raise NotInLogError(
            f"position {position} is under no checkpoint yet: make one with `neurocards ledger checkpoint`"
        )
    return note.note
