"""What is stored beside the log: cursors and checkpoints, cached states, unfinished jobs, its guards.

Cursors and checkpoints remember the log. They tell of a missing end, and of a rewrite, which the chain alone
cannot: a log without its last rows, or written anew with hashes that fit, is a whole one.
"""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from events.envelope import GENESIS_HASH
from ledger.checkpoints import store as noted
from ledger.checkpoints.checkpoint import Restored, Statement, parse, time_of
from ledger.checkpoints.signed_note import NoteError, NoteMismatchError, PublicKey, open_note, unverified_text
from ledger.log.snapshots import FORMAT
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.verify.findings import Findings, Kind
from projections.verify.invariants.lots import Snapshot

query = load_queries("projections.verify")

PAGE = 200


class RememberedPosition(msgspec.Struct, frozen=True):
    """Somebody who remembers that `position` had `hash`; `log_hash` is what the log has there, if anything.

    `kind` is what is wrong when the memory is: "cursor" or "checkpoint". A `signed` memory is never wrong.
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
    """The active cursors of projections, notifier and whoever else keeps one."""
    return [
        RememberedPosition(
            f"the cursor of {row['name']}", "cursor", row["position"], row["hash"], row["log_hash"]
        )
        for row in await connection.fetch(query("witnesses"))
    ]


async def check_remembered_positions(
    connection: Connection,
    witnesses: Sequence[RememberedPosition],
    head: int,
    spoken_of: Collection[int],
    findings: Findings,
) -> None:
    """Compare what each remembers with the log. `spoken_of`: positions reported already."""
    agreeing = {w.position for w in witnesses if w.agrees}
    doubtful = [w for w in witnesses if not w.agrees and w.position not in spoken_of]
    ahead: list[RememberedPosition] = []
    differing: list[RememberedPosition] = []
    for witness in doubtful:
        place = await connection.fetchval(query("position_of_hash"), witness.hash)
        if not witness.signed and (place is not None or witness.hash == GENESIS_HASH):
            message = f"{witness.name} says position {witness.position}, and its hash is that of {place or 0}"
            findings.add(witness.kind, witness.position, message)
        elif witness.position > head:
            ahead.append(witness)
        elif not witness.signed and _vouched_for(witness.position, agreeing, spoken_of):
            message = (
                f"{witness.name} remembers another event at position {witness.position}, "
                "later witnesses agree with the log: it was changed, or the log and they were"
            )
            findings.add(witness.kind, witness.position, message)
        else:
            differing.append(witness)
    if ahead:
        furthest = max(w.position for w in ahead)
        names = ", ".join(sorted(f"{w.name} ({w.position})" for w in ahead))
        missing = f"at least {furthest - head} events are missing"
        message = f"the log ends at position {head}, but {names} saw more: {missing}"
        findings.add("cut", head + 1, message)
    if differing:
        _rewritten(differing, agreeing, findings)


def _vouched_for(position: int, agreeing: Collection[int], broken: Collection[int]) -> bool:
    """Whether a later witness agrees with the log, and the chain from here to there holds."""
    return any(later > position and not any(position < at <= later for at in broken) for later in agreeing)


def _rewritten(
    differing: Sequence[RememberedPosition], agreeing: Collection[int], findings: Findings
) -> None:
    first = min(w.position for w in differing)
    before = max((position for position in agreeing if position < first), default=0)
    names = ", ".join(sorted(f"{w.name} ({w.position})" for w in differing))
    message = f"the log was rewritten after position {before} and up to {first}: {names} saw another event"
    findings.add("rewritten", first, message)


async def checkpoints(
    connection: Connection, keys: Sequence[PublicKey], findings: Findings
) -> list[RememberedPosition]:
    """The places that stored notes speak of, except those that a restoration explains.

    With `keys` every note must be signed by one of them.
    """
    found: list[tuple[RememberedPosition, Statement]] = []
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
        raise NoteMismatchError("its row is not what its note says")
    return statement


def _witness(row: Any, statement: Statement, *, signed: bool) -> RememberedPosition:
    name = f"{'signed ' if signed else ''}{row['kind']} number {row['number']}"
    place = statement.head
    return RememberedPosition(name, "checkpoint", place.position, place.hash, row["log_hash"], signed)


async def snapshots(connection: Connection, findings: Findings) -> dict[str, Snapshot]:
    """The appender's cached states by stream; one that names an event the log does not hold is a finding."""
    found: dict[str, Snapshot] = {}
    for row in await connection.fetch(query("snapshots"), FORMAT):
        if row["held"]:
            found[row["stream"]] = Snapshot(row["version"], row["position"], row["state"])
        else:
            message = f"the snapshot of {row['stream']} names an event that the log does not hold"
            findings.add("snapshot", row["position"], message)
    return found


class OpenJob(msgspec.Struct, frozen=True):
    """A job that has not ended, as the log has it."""

    job: str
    account: str
    position: int
    deadline_at_us: int


async def check_open_jobs(
    connection: Connection, expected: dict[str, OpenJob], after: int, findings: Findings
) -> None:
    """The table has exactly the jobs that have not ended, of those queued after a position."""
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


async def check_guards(connection: Connection, findings: Findings) -> None:
    """The trigger and the unique indexes that protect the log are there and on."""
    for what, name in await connection.fetch(query("guards")):
        message = f"{what} {name} is missing or off: rows can be changed or doubled unnoticed"
        findings.add("guard", None, message)
