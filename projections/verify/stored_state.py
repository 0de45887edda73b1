"""Stored state beside the log: cursors, checkpoints, snapshots, open jobs, deliveries.

Cursors and checkpoints tell of a missing end, and of a rewrite, which the chain alone cannot: a log without
its last rows, or written anew with hashes that fit, is a whole one.
"""

import time
from collections.abc import Collection, Sequence
from hashlib import sha256

import msgspec

from events.envelope import GENESIS_HASH
from events.errors import CodecError
from events.system import LogStated
from ledger.checkpoints.checkpoint import Checkpoint, Restored, open_statement, require_past
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.signed_note import NoteError, PublicKey
from ledger.checkpoints.store import StoredNote, log_statements, remembered_keys, stored_note, verdict
from ledger.log.snapshots import FORMAT
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.verify.findings import Findings, Kind
from projections.verify.invariants import log_time
from projections.verify.invariants.lots import Snapshot

query = load_queries("projections.verify")
notes_query = load_queries("ledger.checkpoints")

PAGE = 200


class RememberedPosition(msgspec.Struct):
    """A cursor or checkpoint (`kind`): `position` had `hash`; the log has `log_hash`.

    A `signed` memory is never wrong.
    """

    name: str
    kind: Kind
    position: int
    hash: bytes
    log_hash: bytes | None
    signed: bool = False

    @property
    def agrees(self) -> bool:
        return self.hash == (self.log_hash if self.position else GENESIS_HASH)


async def cursors(connection: Connection) -> list[RememberedPosition]:
    return [
        RememberedPosition(
            f"the cursor of {row['name']}", "cursor", row["position"], row["hash"], row["log_hash"]
        )
        for row in await connection.fetch(query("remembered_positions"))
    ]


async def check_remembered_positions(
    connection: Connection,
    remembered: Sequence[RememberedPosition],
    head: int,
    spoken_of: Collection[int],
    findings: Findings,
) -> None:
    """Compare cursors and checkpoints with the log, except positions `spoken_of`."""
    agreeing = {one.position for one in remembered if one.agrees}
    ahead: list[RememberedPosition] = []
    differing: list[RememberedPosition] = []
    for one in remembered:
        if one.agrees or one.position in spoken_of:
            continue
        place = await connection.fetchval(query("position_of_hash"), one.hash)
        if not one.signed and (place is not None or one.hash == GENESIS_HASH):
            message = f"{one.name} says position {one.position}, and its hash is that of {place or 0}"
            findings.add(one.kind, one.position, message)
        elif one.position > head:
            ahead.append(one)
        elif not one.signed and _vouched_for(one.position, agreeing, spoken_of):
            message = (
                f"{one.name} remembers another event at position {one.position}, "
                "later witnesses agree with the log: it was changed, or the log and they were"
            )
            findings.add(one.kind, one.position, message)
        else:
            differing.append(one)
    if ahead:
        missing = max(one.position for one in ahead) - head
        message = f"{_names(ahead)} saw more: at least {missing} events are missing"
        findings.add("cut", head + 1, f"the log ends at position {head}, but {message}")
    if differing:
        first = min(one.position for one in differing)
        before = max((position for position in agreeing if position < first), default=0)
        message = f"the log was rewritten after position {before} and up to {first}"
        findings.add("rewritten", first, f"{message}: {_names(differing)} saw another event")


def _names(remembered: Sequence[RememberedPosition]) -> str:
    return ", ".join(sorted(f"{one.name} ({one.position})" for one in remembered))


def _vouched_for(position: int, agreeing: Collection[int], broken: Collection[int]) -> bool:
    """Whether a later witness agrees and the chain up to it holds."""
    return any(later > position and not any(position < at <= later for at in broken) for later in agreeing)


async def checkpoints(
    connection: Connection, keys: Sequence[PublicKey], findings: Findings, *, after: int, holds: bool
) -> list[RememberedPosition]:
    """Signed places, unless a restoration explains them. With `keys` all notes must be signed.

    If the chain `holds`, and all of it is looked at, each must have the root that the hashes give.
    """
    found: list[tuple[RememberedPosition, StoredNote]] = []
    try:
        known = await remembered_keys(connection, keys) if keys else []
    except (CodecError, NoteError) as error:
        findings.add("checkpoint", None, str(error))
        known = list(keys)
    cursor, count = await connection.cursor(notes_query("notes"), None), 0
    while rows := await cursor.fetch(PAGE):
        for row in rows:
            count += 1
            name = f"{row['kind']} number {row['number']}"
            try:
                note = stored_note(row)
                require_past(note.statement, time.time_ns() // 1000)
                if keys:
                    open_statement(note.note, *known, restored=True)
            except NoteError as error:
                findings.add("checkpoint", row["position"], f"stored {name}: {error}")
                continue
            if row["number"] != count:
                message = f"stored {name} stands where number {count} should"
                findings.add("checkpoint", row["position"], message)
                count = row["number"]
            name, at, said = f"signed {name}" if keys else name, note.place.position, note.statement
            one = RememberedPosition(name, "checkpoint", at, note.place.hash, row["log_hash"], bool(keys))
            found.append((one, note))
            if one.agrees and isinstance(said, Restored) and said.time_us < (row["recorded_at_us"] or 0):
                words = f"the {name} that covers them"
                await log_time.check_later(connection, 0, at, said.time_us, words, findings)
    if keys and holds and not after:
        await _judge_by_roots(connection, found, findings)
    if holds:
        await _check_statements(connection, [note for _, note in found], findings)
    restorations = [note.statement for _, note in found if isinstance(note.statement, Restored)]
    return [
        one
        for one, note in found
        if one.agrees
        or not (await verdict(connection, note.place, note.statement.seen, restorations)).explained_by
    ]


async def _judge_by_roots(
    connection: Connection, notes: Sequence[tuple[RememberedPosition, StoredNote]], findings: Findings
) -> None:
    """Let checkpoints agree by their roots: these are signed, a row's hash is not."""
    signed = [(one, note.statement) for one, note in notes if isinstance(note.statement, Checkpoint)]
    held = await Tree(connection, tiles=False).roots({statement.size for _, statement in signed})
    for one, statement in signed:
        fits = held.get(statement.size) == statement.root
        if fits and not one.agrees:
            findings.add("checkpoint", one.position, f"{one.name} is right, its row has another hash")
        one.log_hash = one.hash if fits else None


async def _check_statements(connection: Connection, notes: Sequence[StoredNote], findings: Findings) -> None:
    """Compare the notes with what the log states: none is missing, each is the one that comes next named."""
    try:
        told = [one for one in await log_statements(connection) if isinstance(one.event, LogStated)]
    except CodecError:
        return  # said of the event itself
    signed = {note.place.position: note for note in notes if isinstance(note.statement, Checkpoint)}
    before = {sha256(note.note.encode()).hexdigest() for note in notes}
    for number, one in enumerate(told, start=1):
        if one.position not in signed and number < len(told):  # the last may be signed in a moment
            message = f"the log was stated at position {one.position}, and no stored note signs that"
            findings.add("checkpoint", one.position, message)
        previous = one.event.previous if isinstance(one.event, LogStated) else None
        if previous is not None and previous.size in signed and previous.note not in before:
            message = f"the note of {previous.size} is another than the statement at {one.position} names"
            findings.add("checkpoint", previous.size, message)


async def snapshots(connection: Connection, findings: Findings) -> dict[str, Snapshot]:
    """Cached states by stream; one of an unknown event is a finding."""
    found: dict[str, Snapshot] = {}
    for row in await connection.fetch(query("snapshots"), FORMAT):
        if row["held"]:
            found[row["stream"]] = Snapshot(row["version"], row["position"], row["state"])
        else:
            message = f"the snapshot of {row['stream']} names an event that the log does not hold"
            findings.add("snapshot", row["position"], message)
    return found


class OpenJob(msgspec.Struct, frozen=True):
    job: str
    account: str
    position: int
    deadline_at_us: int


async def check_open_jobs(
    connection: Connection, expected: dict[str, OpenJob], after: int, findings: Findings
) -> None:
    for row in await connection.fetch(query("open_jobs"), after):
        stored = OpenJob(*row)
        job = expected.pop(stored.job, None)
        if job is None:
            message = f"job {stored.job} is listed as unfinished, but it is not"
            findings.add("open_jobs", stored.position, message)
        elif job != stored:
            message = f"unfinished job {stored.job} is listed otherwise than it was queued"
            findings.add("open_jobs", job.position, message)
    for job in expected.values():
        if job.position > after:
            message = f"job {job.job} is unfinished, and neither monitor nor relay will see it"
            findings.add("open_jobs", job.position, message)


async def check_deliveries(connection: Connection, after: int, findings: Findings) -> None:
    """Compare what chats are told with what the log owes them."""
    for position, said in await connection.fetch(query("deliveries"), after):
        findings.add("delivery", position, said)
