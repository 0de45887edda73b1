"""Tamper diagnosis: rows edited, deleted, inserted or moved, and where.

A row's stored hash covers what it was. So each guess (another position, stream, or previous hash) can be
proven: with the right one the stored hash follows.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from events.codec import EVENT_TYPES
from events.envelope import GENESIS_HASH, Recorded
from events.stream_names import ACCOUNT, JOB
from ledger.log.hash_chain import event_hash
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.verify.findings import Findings, Kind
from projections.verify.hash_chain import Chain

query = load_queries("projections.verify")

SUSPECTS_MAX: Final = 60
"""So many broken rows are looked at one by one; of more only the number is told."""
NEARBY: Final = 8
"""Rows are looked for so many positions from where they stand."""
_COMMAND_EVENTS_MAX: Final = 110
_SHOWN_CHARS: Final = 80
_CONTENT: Final = (
    "stream",
    "version",
    "type",
    "data",
    "key",
    "body_hash",
    "command_events",
    "writer",
    "recorded_at_us",
)


class Proof(msgspec.Struct, frozen=True):
    """The row was written at `position` after a row with hash `previous`.

    `column` is what was changed since, empty for nothing, and `was` what stood there.
    """

    position: int
    previous: bytes
    column: str = ""
    was: Any = None


class Suspect(msgspec.Struct, frozen=True):
    """Row whose hash does not follow, and its neighbours; None at the log's ends."""

    row: Recorded
    before: Recorded | None
    after: Recorded | None
    after_broken: bool

    @property
    def position(self) -> int:
        return self.row.position

    @property
    def previous(self) -> bytes:
        return GENESIS_HASH if self.before is None else self.before.hash

    @property
    def gap(self) -> int:
        return self.position - 1 - (0 if self.before is None else self.before.position)

    @property
    def ends_of_gap(self) -> list[int]:
        """Missing positions before it, up to NEARBY from either end."""
        first, count = self.position - self.gap, min(self.gap, NEARBY)
        return [*range(self.position - 1, self.position - 1 - count, -1), *range(first, first + count)]


def _hash_after(previous: bytes, row: Recorded) -> bytes:
    return event_hash(previous, row)


def prove(
    suspect: Suspect,
    hashes: Iterable[bytes],
    places: Iterable[int],
    others: Sequence[Recorded],
    streams: Iterable[str],
) -> Proof | None:
    """What the row was, if one of the guesses is right.

    `hashes` of possible previous rows; `places` and `streams` where it may have stood; `others`: rows it may
    have exchanged something with.
    """
    row, here, previous = suspect.row, suspect.position, suspect.previous
    for place, before in product(dict.fromkeys((here, *places)), dict.fromkeys((previous, *hashes))):
        elsewhere = (place, before) != (here, previous)
        if elsewhere and _hash_after(before, replace(row, position=place)) == row.hash:
            return Proof(place, before)
    for column, was in _changes(suspect, others, streams):
        then = replace(was, position=here) if column == "row" else replace(row, **{column: was})
        if _hash_after(previous, then) == row.hash:
            return Proof(here, previous, column, was)
    return None


def _changes(
    suspect: Suspect, others: Sequence[Recorded], streams: Iterable[str]
) -> Iterator[tuple[str, Any]]:
    row = suspect.row
    yield from (("stream", stream) for stream in streams)
    for other in others:
        yield "row", other
        yield from ((column, getattr(other, column)) for column in _CONTENT)
    yield from (("type", name) for name in EVENT_TYPES)
    for near in (suspect.before, suspect.after):
        if near is not None:
            yield "recorded_at_us", near.recorded_at_us
    for step in range(-1000, 1001):
        yield "recorded_at_us", row.recorded_at_us + step
        if (version := row.version + step) > 0:
            yield "version", version
    yield from (("command_events", count) for count in range(1, _COMMAND_EVENTS_MAX))
    if row.key is not None:
        yield "key", row.key.strip()


def named_streams(rows: Iterable[Recorded]) -> set[str]:
    found: set[str] = set()
    for row in rows:
        found.add(row.stream)
        try:
            data = msgspec.json.decode(row.data)
        except msgspec.DecodeError:
            continue
        if isinstance(data, dict):
            spoken_of = ((JOB, data.get("job")), (ACCOUNT, data.get("account")))
            found |= {f"{prefix}{name}" for prefix, name in spoken_of if name is not None}
    return found


class Diagnosis:
    """Works through the suspects; `found` says what was done, grouped.

    `positions` are those spoken of in any finding.
    """

    def __init__(
        self, suspects: Sequence[Suspect], seen: dict[int, bytes], streams: dict[int, list[str]], head: int
    ) -> None:
        self._suspects = suspects
        self._seen = seen
        self._head = head
        self.positions: set[int] = set()
        self.found: list[tuple[Kind, int, str]] = []
        self._holes = [at for suspect in suspects for at in suspect.ends_of_gap]
        self._computed = {s.position: _hash_after(s.previous, s.row) for s in suspects}
        self._proofs = self._prove(streams)
        self._moved = {proof.position: at for at, proof in self._proofs.items() if proof.position != at}
        self._tell_renumbered()
        for suspect in suspects:
            if suspect.position not in self.positions:
                self._tell(suspect)
        self.found.sort(key=lambda found: found[1])

    def _prove(self, streams: dict[int, list[str]]) -> dict[int, Proof]:
        rows = [suspect.row for suspect in self._suspects]
        near = [row for s in self._suspects for row in (s.before, s.after) if row is not None]
        named = sorted(named_streams([*rows, *near]))
        hashes = [*(row.hash for row in rows), *(s.previous for s in self._suspects)]
        hashes += self._computed.values()
        proofs = {}
        for suspect in self._suspects:
            at = suspect.position
            others = [row for row in rows if row is not suspect.row]
            nearby = range(max(1, at - NEARBY), at + NEARBY + 1)
            places = [*self._holes, *(row.position for row in others), *nearby]
            names = [*named, *streams.get(suspect.row.version, [])]
            if proof := prove(suspect, hashes, places, others, names):
                proofs[at] = proof
        return proofs

    def _say(self, kind: Kind, position: int, message: str) -> None:
        self.positions.add(position)
        self.found.append((kind, position, message))

    def _tell_renumbered(self) -> None:
        """Rows shifted by the same number of places: rows came or went."""
        came_from: dict[int, dict[int, int]] = {}
        for at, proof in self._proofs.items():
            if not proof.column and proof.position != at and proof.position not in self._holes:
                came_from.setdefault(at - proof.position, {})[at] = proof.position
        for shift, moved in came_from.items():
            first, last = min(moved), max(moved)
            exchanged = all(p in self._proofs and self._proofs[p].position in moved for p in moved.values())
            if exchanged or last not in (self._head, self._suspects[-1].position):
                continue
            self.positions |= moved.keys()
            for at in range(first - shift, first):
                message = f"the rows from {first} on were moved back to make room"
                self._say("inserted", at, f"position {at} holds a row that was not written there: {message}")
            if shift < 0:
                if first - 1 in self._computed and first - 1 not in self._proofs:
                    first -= 1  # the first one came after a row that is gone
                message = "the rows after them were moved forward to hide it"
                self._say(
                    "deleted", first, f"{-shift} rows written at position {first} are missing: {message}"
                )

    def _tell(self, suspect: Suspect) -> None:
        position, before = suspect.position, suspect.before
        proof = self._proofs.get(position)
        if proof is None:
            self._tell_unproven(suspect)
        elif proof.column:
            self._tell_changed(suspect.row, proof)
        elif proof.position != position:
            self._tell_moved(position, proof.position)
        elif before is not None and self._computed.get(before.position) == proof.previous:
            self.positions.add(position)
            self._tell_hash_changed(before.position)
        elif suspect.gap:
            self._tell_deleted(suspect)
        else:
            self.positions.add(position)  # intact: what stood before it was changed or moved

    def _tell_hash_changed(self, position: int) -> None:
        self._say("edited", position, f"the hash at position {position} was changed; its row was not")

    def _tell_unproven(self, suspect: Suspect) -> None:
        position, after, computed = suspect.position, suspect.after, self._computed[suspect.position]
        next_proof = None if after is None else self._proofs.get(after.position)
        if suspect.gap:
            self._tell_deleted(suspect)
        elif self._seen.get(position) == computed or (next_proof and next_proof.previous == computed):
            self._tell_hash_changed(position)
        elif after is not None and suspect.after_broken and next_proof is None:
            self.positions.add(after.position)
            message = "another row than was written: neither its own hash nor the next one follows"
            self._say("edited", position, f"position {position} holds {message}")
        elif after is None and not any(at >= position for at in self._seen):
            message = "nobody has seen it: it was put there by hand, or changed after it was written"
            self._say("inserted", position, f"position {position}, the last, does not follow, and {message}")
        else:
            what = f"the {suspect.row.type} at position {position} was changed after it was written"
            but = "or all rows before it were rewritten, with hashes that fit"
            self._say("edited", position, f"{what}: its hash does not follow, the next one does ({but})")

    def _tell_deleted(self, suspect: Suspect) -> None:
        first, last = suspect.position - suspect.gap, suspect.position - 1
        if first == last and last in self._moved:
            self._tell_moved(self._moved[last], last)
            return
        what = f"position {first} is" if first == last else f"positions {first} to {last} are"
        self.positions.add(suspect.position)
        self._say("deleted", first, f"{what} missing")

    def _tell_changed(self, row: Recorded, proof: Proof) -> None:
        position, column, was = row.position, proof.column, proof.was
        if column == "row":
            self._tell_swapped(position, was.position, "the rows")
            return
        now = getattr(row, column)
        if column == "stream":
            message = f"position {position} was written to {was} and stands in {now} now"
            self._say("renamed", position, message)
            return
        for at, other in self._proofs.items():
            if at != position and other.column == column and other.was == now:
                self._tell_swapped(position, at, f"the {column} of the rows")
                return
        message = f"{column} at position {position} was {_short(was)} and is {_short(now)} now"
        self._say("edited", position, message)

    def _tell_moved(self, position: int, came_from: int) -> None:
        back = self._proofs.get(came_from)
        if back is not None and back.position == position:
            self._tell_swapped(position, came_from, "the rows")
            return
        self.positions.add(position)
        message = f"the row written at position {came_from} stands at position {position}"
        self._say("moved", came_from, message)

    def _tell_swapped(self, one: int, other: int, what: str) -> None:
        one, other = sorted((one, other))
        self.positions.add(other)
        self._say("moved", one, f"{what} at positions {one} and {other} were swapped")


def _short(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


async def locate(
    connection: Connection, chain: Chain, seen: dict[int, bytes], findings: Findings
) -> set[int]:
    """Report what was done to suspects; the positions spoken of.

    `seen` are remembered hashes by position: they tell a changed row from a changed hash.
    """
    if not chain.broken:
        return set()
    suspects = await _suspects(connection, chain)
    streams = await _streams(connection, suspects)
    diagnosis = Diagnosis(suspects, seen, streams, chain.head.position)
    for kind, position, message in diagnosis.found:
        findings.add(kind, position, message)
    if more := chain.broken - len(suspects):
        message = f"{more} more hashes do not follow, up to position {chain.breaks[-1]}"
        findings.add("sequence", chain.breaks[len(suspects)], message)
    return diagnosis.positions | set(chain.breaks)


async def _suspects(connection: Connection, chain: Chain) -> list[Suspect]:
    broken = set(chain.breaks)
    suspects = []
    for position in chain.breaks[:SUSPECTS_MAX]:
        rows = [Recorded(*row) for row in await connection.fetch(query("around"), position)]
        at = next(index for index, row in enumerate(rows) if row.position == position)
        after = rows[at + 1] if at + 1 < len(rows) else None
        before = rows[at - 1] if at else None
        suspects.append(Suspect(rows[at], before, after, after is not None and after.position in broken))
    return suspects


async def _streams(connection: Connection, suspects: Sequence[Suspect]) -> dict[int, list[str]]:
    versions = {s.row.version for s in suspects}
    torn = [row[0] for row in await connection.fetch(query("torn_streams"))]
    found = {version: list(torn) for version in versions}
    for row in await connection.fetch(query("streams_ending"), [v - 1 for v in versions]):
        found[row["version"] + 1].append(row["stream"])
    return found
