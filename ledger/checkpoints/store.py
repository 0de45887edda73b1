"""Store of signed notes, and verdicts whether the log still holds them."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from events.codec import decode_data
from events.envelope import GENESIS_HASH, Cursor
from events.stream_names import LOG_STREAM
from events.system import KeyRotated, LogStated
from ledger.checkpoints.checkpoint import (
    POSITION_MAX,
    Checkpoint,
    Restored,
    Statement,
    keys_of,
    open_statement,
    parse,
)
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.signed_note import (
    NoteError,
    NoteMismatchError,
    PublicKey,
    WitnessKey,
    cosignature,
    signed_by,
    unverified_text,
)
from ledger.postgres import Reader
from ledger.sql import load_queries

query = load_queries("ledger.checkpoints")


class StoredNote(msgspec.Struct, frozen=True):
    """Row of the table of notes; its signature was not looked at.

    `place` is where it was signed. The hash there is ours to remember: a checkpoint's note does not hold it.
    """

    number: int
    note: str
    statement: Statement
    place: Cursor


class ToldLog(msgspec.Struct, frozen=True):
    """What the log says of itself at a position: a statement, or a rotation of the key."""

    position: int
    recorded_at_us: int
    event: LogStated | KeyRotated

    @property
    def key(self) -> str:
        """The key that signs from there on."""
        return self.event.key if isinstance(self.event, LogStated) else self.event.new

    @property
    def origin(self) -> str:
        return self.key.partition("+")[0]


class CheckpointStatus(msgspec.Struct, frozen=True):
    """Whether the log holds a place. Not `held`: `explained_by` a restoration, or else `wrong` says how."""

    held: bool
    wrong: str = ""
    explained_by: Restored | None = None


async def stored(reader: Reader, *, kind: str | None = None) -> list[StoredNote]:
    """Notes in stored order. Raises NoteError for one unreadable or unlike its columns."""
    return [stored_note(row) for row in await reader.fetch(query("notes"), kind)]


async def recent_notes(reader: Reader, limit: int = 200) -> list[str]:
    rows = await reader.fetch("SELECT note FROM checkpoints ORDER BY number DESC LIMIT $1", limit)
    return [row["note"] for row in rows]


async def newest_checkpoint(
    reader: Reader, *, at_least: int = 0, at_most: int = POSITION_MAX
) -> StoredNote | None:
    """The newest checkpoint of a size between these, with its cosignatures: to be handed out."""
    row = await reader.fetchrow(query("newest_note"), at_least, at_most)
    return stored_note(row) if row else None


async def store(reader: Reader, note: str) -> StoredNote:
    """Add a note. Raises NoteError when it cannot be read."""
    statement = parse(note)
    if isinstance(statement, Restored):
        place = statement.head
    else:
        place = Cursor(statement.size, await hash_at(reader, statement.size) or GENESIS_HASH)
    row = await reader.fetchrow(query("add_note"), statement.kind, place.position, place.hash, note)
    assert row is not None
    return stored_note(row)


async def add_cosignature(reader: Reader, note: str, witness: WitnessKey) -> None:
    """Keep a witness's signature of a stored note; once. Raises NoteError."""
    text, line = unverified_text(note), cosignature(note, witness)
    if await reader.fetchval(query("add_cosignature"), f"{text}\n", str(witness), line) is None:
        raise NoteMismatchError(
            "this note is not stored here: cosign what `neurocards ledger checkpoint` gives"
        )


def words_for(statement: Statement) -> str:
    """E.g. `checkpoint of 4211`."""
    return f"{statement.kind} of {statement.position}"


async def log_statements(reader: Reader) -> list[ToldLog]:
    """What the log says of itself, in order. Raises CodecError."""
    rows = await reader.fetch(query("log_statements"), LOG_STREAM)
    return [ToldLog(row[0], row[1], decode_data(row["type"], row["data"])) for row in rows]  # type: ignore[arg-type]


async def stated_until(reader: Reader) -> tuple[int, int] | None:
    """Time until which the log is signed, and now, in epoch microseconds; None without a statement."""
    row = await reader.fetchrow(query("last_statement"), LOG_STREAM)
    return (row["until_us"], row["now_us"]) if row else None


async def remembered_keys(reader: Reader, keys: Sequence[PublicKey]) -> list[PublicKey]:
    """These keys, and those that came before or after them. Raises SignatureError for a forged rotation."""
    pairs = [
        keys_of(told.event) for told in await log_statements(reader) if isinstance(told.event, KeyRotated)
    ]
    found = list(keys)
    for pair in (*pairs, *reversed(pairs)):
        if {key.key for key in pair} & {key.key for key in found}:
            found += [key for key in pair if key not in found]
    return found


async def hash_at(reader: Reader, position: int) -> bytes | None:
    """Hash at a position; None beyond the log. At 0: GENESIS's."""
    if position == 0:
        return bytes(32)
    found: bytes | None = await reader.fetchval("SELECT hash FROM events WHERE position = $1", position)
    return found


async def places(reader: Reader, statements: Sequence[Statement]) -> list[Cursor]:
    """Where each was signed, in their order; zeros for a hash where the log has another root.

    Reads the log's hashes once.
    """
    sizes = {one.size for one in statements if isinstance(one, Checkpoint)}
    roots = await Tree(reader, tiles=False).roots(sizes)
    found = []
    for one in statements:
        if isinstance(one, Restored):
            found.append(one.head)
        else:
            held = roots.get(one.size) == one.root
            found.append(
                Cursor(one.size, (await hash_at(reader, one.size) if held else None) or GENESIS_HASH)
            )
    return found


async def verdict(
    reader: Reader, place: Cursor, seen: int | str, restorations: Sequence[Restored]
) -> CheckpointStatus:
    """Whether the log holds a place, or a restoration explains it.

    `seen`: at that time, or signed under that origin. A restoration counts only if the log holds the head it
    was signed at, or a later one explains that too.
    """
    stands = await hash_at(reader, place.position)
    if stands == place.hash:
        return CheckpointStatus(held=True)
    for one in sorted(restorations, key=lambda r: r.time_us, reverse=True):
        if not one.explains(place, seen) or not await _holds(reader, one.kept, restorations, one):
            continue
        return CheckpointStatus(held=False, explained_by=one)
    wrong = "is not in the log: it ends before" if stands is None else "has another hash in the log"
    if stands is not None and place.hash == GENESIS_HASH:
        wrong = "is not as it was signed: the hashes up to there give another root"
    return CheckpointStatus(
        held=False, wrong=f"position {place.position} {wrong}, and no restoration explains it"
    )


async def _holds(
    reader: Reader, place: Cursor, restorations: Sequence[Restored], statement: Restored
) -> bool:
    for kept in (place, statement.head):
        if await hash_at(reader, kept.position) == kept.hash:
            continue
        later = [one for one in restorations if one.time_us > statement.time_us]
        if not (await verdict(reader, kept, statement.time_us, later)).explained_by:
            return False
    return True


def statements_in(notes: Iterable[str], keys: Sequence[PublicKey]) -> list[tuple[Statement, str]]:
    """Statements that `keys` have signed, with their notes as they signed them; others are left out."""
    found = []
    for note in dict.fromkeys(notes):
        try:
            statement = open_statement(note, *keys, restored=True)
            found.append((statement, signed_by(note, [key.named(statement.origin) for key in keys])))
        except NoteError:
            continue
    return found


def restorations_in(notes: Iterable[str], keys: Sequence[PublicKey]) -> list[Restored]:
    return [one for one, _ in statements_in(notes, keys) if isinstance(one, Restored)]


def stored_note(row: Any) -> StoredNote:
    """Raises NoteError for a row whose note is none, or another's."""
    statement, place = parse(row["note"]), Cursor(row["position"], row["hash"])
    known = statement.head if isinstance(statement, Restored) else Cursor(statement.size, place.hash)
    if (row["kind"], place) != (statement.kind, known):
        raise NoteMismatchError(f"number {row['number']} of the table checkpoints is not what its note says")
    return StoredNote(row["number"], row["note"], statement, place)
