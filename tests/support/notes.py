"""Notes of a log signed with a key of the tests, and every stored one held against the log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from ledger.checkpoints.checkpoint import Checkpoint, Restored, time_text
from ledger.checkpoints.signed_note import NoteError, PublicKey, new_key, open_note
from ledger.checkpoints.store import StoredNote, kind_of, stored, verdict
from projections.checkpoints import make_checkpoint

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


KEY = new_key("neurocards/test")


async def make_note(pool: "Pool", **options: Any) -> StoredNote:
    """A checkpoint of the log as it stands."""
    made = await make_checkpoint(pool, KEY, **options)
    assert made is not None
    return made


def said(note: StoredNote) -> Checkpoint:
    """What a checkpoint's note says."""
    assert isinstance(note.statement, Checkpoint)
    return note.statement


class Damage(msgspec.Struct, frozen=True):
    """A stored note that the log contradicts. `position` is where to look."""

    position: int
    message: str


async def unkept(reading: "Pool", keys: Sequence[PublicKey] = ()) -> list[Damage]:
    """Notes that are ahead of the log or have another hash, without explanation; not signed by `keys`."""
    found: list[Damage] = []
    notes = await stored(reading)
    for note in notes if keys else []:
        try:
            open_note(note.note, *keys)
        except NoteError as error:
            found.append(Damage(note.statement.head.position, str(error)))
    restorations = [note.statement for note in notes if isinstance(note.statement, Restored)]
    for note in notes:
        statement = note.statement
        answer = await verdict(reading, statement.head, statement.time_us, restorations)
        if answer.wrong:
            what = f"{kind_of(statement)} of {time_text(statement.time_us)}"
            found.append(Damage(statement.head.position, f"{what}: {answer.wrong}"))
    return found
