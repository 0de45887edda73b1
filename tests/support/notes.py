"""Every stored note held against the log, as an auditor would one by one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from ledger.checkpoints.checkpoint import Restored, time_text
from ledger.checkpoints.signed_note import NoteError, PublicKey, open_note
from ledger.checkpoints.store import kind_of, stored, verdict

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


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
        said = note.statement
        answer = await verdict(reading, said.head, said.time_us, restorations)
        if answer.wrong:
            what = f"{kind_of(said)} of {time_text(said.time_us)}"
            found.append(Damage(said.head.position, f"{what}: {answer.wrong}"))
    return found
