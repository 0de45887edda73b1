"""Store of signed notes, and verdicts whether the log still holds them."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from events.envelope import Cursor
from ledger.checkpoints.checkpoint import Checkpoint, Restored, Statement, parse, time_of
from ledger.checkpoints.signed_note import NoteError, NoteMismatchError, PublicKey, open_note, unverified_text
from ledger.postgres import Reader
from ledger.sql import load_queries

query = load_queries("ledger.checkpoints")


class StoredNote(msgspec.Struct, frozen=True):
    """Row of the table of notes; its signature was not looked at."""

    number: int
    note: str
    statement: Statement


class CheckpointStatus(msgspec.Struct, frozen=True):
    """Whether the log holds a place. Not `held`: `explained_by` a restoration, or else `wrong` says how."""

    held: bool
    wrong: str = ""
    explained_by: Restored | None = None


async def stored(reader: Reader, *, kind: str | None = None) -> list[StoredNote]:
    """Notes in stored order. Raises NoteError for one unreadable or unlike its columns."""
    return [_stored(row) for row in await reader.fetch(query("notes"), kind)]


async def recent_notes(reader: Reader, limit: int = 200) -> list[str]:
    rows = await reader.fetch("SELECT note FROM checkpoints ORDER BY number DESC LIMIT $1", limit)
    return [row["note"] for row in rows]


async def newest_checkpoint(reader: Reader, *, at_least: int = 0) -> StoredNote | None:
    """The newest checkpoint, if its size is `at_least` so much."""
    row = await reader.fetchrow(query("newest_note"), "checkpoint", at_least)
    return _stored(row) if row else None


async def store(reader: Reader, note: str) -> StoredNote:
    """Add a note. Raises NoteError when it cannot be read."""
    statement = parse(unverified_text(note))
    head, kind = statement.head, kind_of(statement)
    number = await reader.fetchval(query("add_note"), kind, head.position, head.hash, statement.time_us, note)
    return StoredNote(int(number), note, statement)


def kind_of(statement: Statement) -> str:
    return "checkpoint" if isinstance(statement, Checkpoint) else "restored"


async def hash_at(reader: Reader, position: int) -> bytes | None:
    """Hash at a position; None beyond the log. At 0: GENESIS's."""
    if position == 0:
        return bytes(32)
    found: bytes | None = await reader.fetchval("SELECT hash FROM events WHERE position = $1", position)
    return found


async def verdict(
    reader: Reader, place: Cursor, time_us: int, restorations: Sequence[Restored]
) -> CheckpointStatus:
    """Whether the log holds a signed place, or a restoration explains it.

    A restoration counts only if the log holds the head it was signed at, or a later one explains that too.
    """
    stands = await hash_at(reader, place.position)
    if stands == place.hash:
        return CheckpointStatus(held=True)
    for one in sorted(restorations, key=lambda r: r.time_us, reverse=True):
        if not one.explains(place, time_us) or not await _holds(reader, one.kept, restorations, one):
            continue
        return CheckpointStatus(held=False, explained_by=one)
    wrong = "is not in the log: it ends before" if stands is None else "has another hash in the log"
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


def restorations_in(notes: Iterable[str], keys: Sequence[PublicKey]) -> list[Restored]:
    """Restorations among notes that `keys` have signed; others are left out."""
    found = []
    for note in notes:
        try:
            statement = parse(open_note(note, *keys))
        except NoteError:
            continue
        if isinstance(statement, Restored):
            found.append(statement)
    return found


def _stored(row: Any) -> StoredNote:
    statement = parse(unverified_text(row["note"]))
    columns = (row["kind"], row["position"], row["hash"], time_of(row["made_at"]))
    if columns != (kind_of(statement), statement.head.position, statement.head.hash, statement.time_us):
        raise NoteMismatchError(f"number {row['number']} of the table checkpoints is not what its note says")
    return StoredNote(row["number"], row["note"], statement)
