"""Stored checkpoints as witnesses: each must be what was signed, and what the log holds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ledger import noted
from ledger.checkpoints import Restored, Statement, parse, time_of
from ledger.note import NoteDiffers, NoteError, PublicKey, open_note, unverified_text
from projections.problems import Findings
from projections.verify.sql import query
from projections.verify.witnesses import Witness

if TYPE_CHECKING:
    from projections.tables import Connection

PAGE = 200


async def checkpoints(
    connection: "Connection", keys: Sequence[PublicKey], findings: Findings
) -> list[Witness]:
    """The places that stored notes speak of, except those that a restoration explains.

    With `keys` every note must be signed by one of them.
    """
    found: list[tuple[Witness, Statement]] = []
    cursor = await connection.cursor(query("notes"))
    while rows := await cursor.fetch(PAGE):
        for row in rows:
            try:
                statement = _statement(row, keys)
            except NoteError as error:
                message = f"stored {row['kind']} number {row['number']}: {error}"
                findings.add("checkpoint", row["position"], message)
                continue
            found.append((_witness(row, statement, signed=bool(keys)), statement))
    restorations = [said for _, said in found if isinstance(said, Restored)]
    return [
        witness
        for witness, said in found
        if witness.agrees
        or not (await noted.verdict(connection, said.head, said.time_us, restorations)).explained_by
    ]


def _statement(row: Any, keys: Sequence[PublicKey]) -> Statement:
    text = open_note(row["note"], *keys) if keys else unverified_text(row["note"])
    statement = parse(text)
    columns = (row["kind"], row["position"], row["hash"], time_of(row["made_at"]))
    if columns != (noted.kind_of(statement), statement.head.position, statement.head.hash, statement.time_us):
        raise NoteDiffers("its row is not what its note says")
    return statement


def _witness(row: Any, statement: Statement, *, signed: bool) -> Witness:
    name = f"{'signed ' if signed else ''}{row['kind']} number {row['number']}"
    place = statement.head
    return Witness(name, "checkpoint", place.position, place.hash, row["log_hash"], signed)
