"""Make checkpoints, and verify the log against signed statements.

The log first states what it is, in its own last leaf; then size and root are signed and stored. A log that
contradicts what was signed before, or lacks rows, is not signed, unless a restoration explains it.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
import structlog

from events.envelope import GENESIS, Cursor
from events.system import Books, LogStated, Predecessor, SignedState
from ledger.checkpoints.checkpoint import Checkpoint, Restored, Statement, current_origin, sign
from ledger.checkpoints.merkle_store import Tree, forget_tiles
from ledger.checkpoints.signed_note import PrivateKey, PublicKey
from ledger.checkpoints.store import (
    StoredNote,
    ToldLog,
    hash_at,
    log_statements,
    newest_checkpoint,
    places,
    recent_notes,
    remembered_keys,
    restorations_in,
    stated_until,
    statements_in,
    store,
    stored,
    stored_note,
    verdict,
    words_for,
)
from ledger.errors import IntegrityError, LedgerError
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from ledger.postgres import Connection, Pool, lift_transaction_timeout
from ledger.sql import load_queries
from ledger.system.commands import StateLog
from projections.engine.errors import NotInLogError
from projections.engine.projection import AnyProjection
from projections.engine.registry import PROJECTIONS
from projections.engine.state_root import RootHash, build
from projections.engine.tables import Table
from projections.models.balances import BALANCES
from projections.verify import hash_chain
from projections.verify.findings import Findings, Problem
from projections.verify.tamper_diagnosis import locate

query = load_queries("ledger.checkpoints")
engine_query = load_queries("projections.engine")

logger = structlog.get_logger()

TOTALS: Final = ("granted", "charged", "refunded", "revoked", "expired", "balance", "debt")
"""What is added up over all accounts: balance = granted - charged + refunded - revoked - expired."""
_LOCK: Final = 7_300_004
_SNAPSHOT: Final[dict[str, Any]] = {"isolation": "repeatable_read", "readonly": True}


class CheckpointUnderWayError(LedgerError):
    """Another process is making a checkpoint at this moment."""


async def make_checkpoint(
    ledger: Ledger, *keys: PrivateKey, program: str, kept_notes: Sequence[str] = (), every_s: float = 0
) -> StoredNote | None:
    """State, sign and store what the log is; None if that was done within `every_s`, or nothing came since.

    All `keys` sign, the first is the log's. `kept_notes`, from outside the database, must not be contradicted
    either. Raises CheckpointUnderWayError, InvalidCommandError for a key that is not the log's, and
    IntegrityError when nothing may be signed: stop and run `neurocards recover`.
    """
    pool = ledger.read.pool
    async with pool.acquire() as connection, connection.transaction():
        await lift_transaction_timeout(connection)
        if not await connection.fetchval(query("lock_signing"), _LOCK):
            raise CheckpointUnderWayError("another process is making a checkpoint; ask again in a moment")
        until = await stated_until(connection)
        # One that was stated later than now was stated by a clock that was ahead.
        if until and (until[0] == until[1] or 0 <= until[1] - until[0] < every_s * 1_000_000):
            return None
        told = await log_statements(connection)
        publics = await remembered_keys(connection, [key.public for key in keys])
        known = statements_in([*await recent_notes(connection), *kept_notes], publics)
        await _require_whole(connection, known)
        last = await _last_kept(connection, known)
        origin = current_origin(keys[0].name, [statement for statement, _ in known])
        begun = [one for one in told if isinstance(one.event, LogStated)][-1:] if until is None else []
        if begun and begun[0].origin == origin:  # whoever stated it did not come to sign it
            size = begun[0].position
            if str(keys[0].named(origin).public) != told[-1].key:
                raise IntegrityError(f"nothing is signed: the log's key is {told[-1].key}")
        else:
            before = await _predecessor(connection, origin, last, known)
            async with pool.acquire() as other, other.transaction(**_SNAPSHOT):
                await lift_transaction_timeout(other)
                states, books = await _states(other)
            statement = LogStated(str(keys[0].named(origin).public), program, states, books, before)
            after = told[-1].position if told else 0
            size = (await ledger.execute(StateLog(statement), key=f"stated:{after}")).position
        root = await _root(connection, size, last[0] if last else None)
        made = await store(connection, sign(Checkpoint(origin, size, root), keys))
    logger.info("checkpoint_made", position=size, number=made.number)
    return made


async def _require_whole(connection: Connection, known: Sequence[tuple[Statement, str]]) -> None:
    """Raise IntegrityError when rows are missing or changed under a stored note.

    All rows are counted: cached tiles vouch for what is gone.
    """
    row = await connection.fetchrow("SELECT count(*), coalesce(max(position), 0) FROM events")
    count, head = row or (0, 0)
    if count != head:
        raise IntegrityError(
            f"nothing is signed: of {head} positions there are {count}; run `neurocards ledger verify`"
        )
    restorations = [one for one, _ in known if isinstance(one, Restored)]
    for lost in map(stored_note, await connection.fetch(query("notes_lost"))):
        answer = await verdict(connection, lost.place, lost.statement.seen, restorations)
        if not answer.explained_by:
            raise IntegrityError(
                f"nothing is signed: by the stored {words_for(lost.statement)}, {answer.wrong}; "
                "stop and run `neurocards recover`"
            )


async def _last_kept(
    connection: Connection, known: Sequence[tuple[Statement, str]]
) -> tuple[Checkpoint, str] | None:
    """The furthest checkpoint that the log holds, and its note; the tree vouches for the earlier.

    Raises IntegrityError when a further one is not in the log, and nothing explains that.
    """
    restorations = [one for one, _ in known if isinstance(one, Restored)]
    earlier = [(one, note) for one, note in known if isinstance(one, Checkpoint)]
    for checkpoint, note in sorted(earlier, key=lambda one: one[0].size, reverse=True):
        there = await hash_at(connection, checkpoint.size) is not None
        if there and await Tree(connection).root(checkpoint.size) == checkpoint.root:
            return checkpoint, note
        [place] = await places(connection, [checkpoint])
        answer = await verdict(connection, place, checkpoint.seen, restorations)
        if answer.held:
            return checkpoint, note
        if answer.wrong:
            raise IntegrityError(
                f"nothing is signed: by the {words_for(checkpoint)}, {answer.wrong}; "
                "stop and run `neurocards recover`"
            )
    return None


async def _predecessor(
    connection: Connection,
    origin: str,
    last: tuple[Checkpoint, str] | None,
    known: Sequence[tuple[Statement, str]],
) -> Predecessor | None:
    """What was signed last; under a new origin that is the restoration."""
    if last is not None and last[0].origin == origin:
        size, root, note, before = last[0].size, last[0].root, last[1], origin
    else:
        restorations = [(one, note) for one, note in known if isinstance(one, Restored)]
        if not restorations:
            return None
        restored, note = max(restorations, key=lambda one: one[0].time_us)
        size, before = restored.kept.position, restored.origin
        root = (await Tree(connection, tiles=False).roots([size]))[size]
    return Predecessor(before, size, root.hex(), sha256(note.encode()).hexdigest())


async def _root(connection: Connection, size: int, last: Checkpoint | None) -> bytes:
    """Merkle root at a size, from trusted tiles and new events."""
    trusted = last.size if last else 0
    await forget_tiles(connection, trusted)
    if last and await Tree(connection).root(trusted) != last.root:
        logger.error("tree_tiles_damaged", up_to=trusted, done="made anew from the log")
        await forget_tiles(connection)
    tree = Tree(connection)
    await tree.extend(size)
    return await tree.root(size)


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


async def rebuilt_states(pool: Pool, told: LogStated) -> list[str]:
    """Stated states and books that a refold of the log contradicts."""
    wrong: list[str] = []
    for state in told.states:
        if state.name not in PROJECTIONS:
            wrong.append(f"state {state.name}: there is no such projection here")
            continue
        of_books = state.name == BALANCES.name
        if of_books and (told.books is None or told.books.position != state.position):
            wrong.append(f"state {state.name} at {state.position} is stated without its books")
            continue
        built, rows = await build(LogReader(pool), state.name, state.position)
        if built.cursor.position != state.position:
            wrong.append(f"state {state.name}: the log ends before {state.position}")
        elif built.root != state.root:
            wrong.append(f"state {state.name} at {state.position} is {built.root}, stated was {state.root}")
        elif of_books and told.books is not None:
            wrong += _wrong_books(told.books, rows)
    return wrong


def _wrong_books(books: Books, rows: dict[str, Any]) -> list[str]:
    counted = {"accounts": len(rows)}
    counted |= {name: sum(getattr(row, name) for row in rows.values()) for name in TOTALS}
    return [
        f"books at {books.position}: {name} is {counted.get(name)}, stated was {amount}"
        for name, amount in books.totals
        if counted.get(name) != amount
    ]


# Whether the log still is what was signed.


class Answer(msgspec.Struct, frozen=True):
    """Result: `damage`, none if a restoration in `explained_by` says what was lost.

    `told` is what the log states of itself under a checkpoint, `hash` that statement's.
    """

    damage: list[Problem]
    explained_by: Restored | None = None
    told: ToldLog | None = None
    hash: bytes = b""


async def verify_statement(
    pool: Pool,
    statement: Statement,
    keys: Sequence[PublicKey],
    extra_notes: Sequence[str] = (),
    *,
    rehash: bool = True,
    deep: bool = False,
    progress: hash_chain.Progress = lambda *_: None,
) -> Answer:
    """Compare the log with a statement whose signature was checked.

    Restorations in the table and `extra_notes` count if one of `keys` signed them. Reads every position up to
    the statement's, and computes its hash anew; without `rehash` the stored hashes are believed. `deep` folds
    the log again for the states.
    """
    notes = [note.note for note in await stored(pool, kind="restored")]
    [place] = await places(pool, [statement])
    answer = await verdict(pool, place, statement.seen, restorations_in([*notes, *extra_notes], keys))
    if answer.explained_by is not None:
        return Answer([], answer.explained_by)
    if rehash and (wrong := await _wrong_rows(pool, place.position, progress)):
        return Answer(wrong)
    if not answer.held:
        behind = await pool.fetchval("SELECT pg_is_in_recovery()")
        hint = "; this is a replica, which may only be behind: ask the primary" if behind else ""
        return Answer([Problem("log", place.position, answer.wrong + hint)])
    if not isinstance(statement, Checkpoint):
        return Answer([])
    told = next((one for one in await log_statements(pool) if one.position == statement.size), None)
    if told is None or not isinstance(told.event, LogStated) or told.origin != statement.origin:
        wrong_leaf = f"position {statement.size}, the last under the checkpoint, does not state this log"
        return Answer([Problem("statement", statement.size, wrong_leaf)])
    return Answer(await _wrong_states(pool, told.event) if deep else [], None, told, place.hash)


async def _wrong_rows(pool: Pool, up_to: int, progress: hash_chain.Progress) -> list[Problem]:
    """Rows whose hash is not theirs, named as `ledger verify` names them."""
    findings = Findings()
    async with pool.acquire() as connection, connection.transaction(**_SNAPSHOT):
        chain = await hash_chain.walk(connection, GENESIS, progress, up_to)
        if chain.broken:
            await locate(connection, chain, {}, findings)
    return findings.problems


async def _wrong_states(pool: Pool, told: LogStated) -> list[Problem]:
    try:
        return [Problem("state", None, wrong) for wrong in await rebuilt_states(pool, told)]
    except IntegrityError as error:
        return [Problem("sequence", None, str(error))]


async def signed_place(pool: Pool, checkpoint: Checkpoint) -> Cursor:
    """The place that a checkpoint signs. Raises IntegrityError when the log does not hold it."""
    [place] = await places(pool, [checkpoint])
    answer = await verdict(pool, place, checkpoint.origin, [])
    if not answer.held:
        raise IntegrityError(answer.wrong)
    return place


async def covering_note(pool: Pool, position: int) -> str:
    """The newest stored checkpoint over a position. Raises NotInLogError without."""
    note = await newest_checkpoint(pool, at_least=position)
    if note is None:
        raise NotInLogError(
            f"position {position} is under no checkpoint yet: make one with `neurocards ledger checkpoint`"
        )
    return note.note
