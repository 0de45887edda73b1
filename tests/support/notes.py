"""Notes of a log signed with a key of the tests, and every stored one held against the log."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from events.system import LogStated
from ledger.checkpoints.checkpoint import Checkpoint, Restored, open_statement
from ledger.checkpoints.signed_note import NoteError, PublicKey, new_key
from ledger.checkpoints.store import StoredNote, log_statements, places, stored, verdict, words_for
from ledger.log.ledger import Ledger
from projections.checkpoints import make_checkpoint

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


KEY = new_key("neurocards/test")


async def make_note(ledger: Ledger, **options: Any) -> StoredNote:
    """A checkpoint of the log as it stands."""
    made = await make_checkpoint(ledger, KEY, program="0.1.0", **options)
    assert made is not None
    return made


def said(note: StoredNote) -> Checkpoint:
    """What a checkpoint's note says."""
    assert isinstance(note.statement, Checkpoint)
    return note.statement


async def told(pool: "Pool", note: StoredNote) -> LogStated:
    """What the log states of itself under a checkpoint."""
    [found] = [one.event for one in await log_statements(pool) if one.position == said(note).size]
    assert isinstance(found, LogStated)
    return found


class Damage(msgspec.Struct, frozen=True):
    """A stored note that the log contradicts. `position` is where to look."""

    position: int
    message: str


async def unkept(reading: "Pool", keys: Sequence[PublicKey] = ()) -> list[Damage]:
    """Notes that are ahead of the log or of another one, without explanation; not signed by `keys`."""
    found: list[Damage] = []
    notes = await stored(reading)
    for note in notes if keys else []:
        try:
            open_statement(note.note, *keys, restored=True)
        except NoteError as error:
            found.append(Damage(note.place.position, str(error)))
    statements = [note.statement for note in notes]
    restorations = [one for one in statements if isinstance(one, Restored)]
    for one, place in zip(statements, await places(reading, statements), strict=True):
        answer = await verdict(reading, place, one.seen, restorations)
        if answer.wrong:
            found.append(Damage(place.position, f"{words_for(one)}: {answer.wrong}"))
    return found
