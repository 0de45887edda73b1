"""What was done to rows whose hash does not follow, told from what could be proven of each. Pure."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from events.codec import EVENT_TYPES
from events.envelope import GENESIS_HASH, Recorded
from events.stream_names import ACCOUNT, JOB
from ledger.log.hash_chain import event_hash, follows
from ledger.sql import load_queries
from projections.verify.findings import Findings, Kind
from projections.verify.hash_chain import Chain

if TYPE_CHECKING:
    from ledger.postgres import Connection

query = load_queries("projections.verify")

# Rows whose hash does not follow: what was each of them when it was written? Pure.
#
# A row's stored hash covers what it was. So each guess (another position, another stream, the hash of another
# row before it) can be proven: with the right one the stored hash follows.


NEARBY = 8
"""Rows are looked for so many positions from where they stand."""

_CONTENT = ("stream", "version", "type", "data", "key", "body_hash", "command_events", "recorded_at_us")


class Suspect(msgspec.Struct):
    """A row whose hash does not follow, and its neighbours; None where the log begins or ends."""

    row: Recorded
    before: Recorded | None
    after: Recorded | None
    after_broken: bool

    @property
    def previous(self) -> bytes:
        return GENESIS_HASH if self.before is None else self.before.hash

    @property
    def gap(self) -> int:
        """How many positions are missing before it."""
        return self.row.position - 1 - (0 if self.before is None else self.before.position)


class Proof(msgspec.Struct, frozen=True):
    """With these the row's own hash follows: it was written at `position` after a row with hash `previous`.

    `column` is what was changed since, empty for nothing, and `was` what stood there.
    """

    position: int
    previous: bytes
    column: str = ""
    was: Any = None


def written_hash(previous: bytes, row: Recorded) -> bytes:
    """The hash the row would have after one with the hash `previous`."""
    return event_hash(
        previous, row.position, row.stream, row.version, row.type, row.data, row.key, row.body_hash,
        row.command_events, row.recorded_at_us,
    )  # fmt: skip


def prove(
    suspect: Suspect,
    hashes: Sequence[bytes],
    places: Sequence[int],
    others: Sequence[Recorded],
    streams: Sequence[str],
) -> Proof | None:
    """What the row was, if one of the guesses is right.

    `hashes`: of rows it may have come after; `places`: where it may have stood; `others`: rows it may have
    exchanged something with; `streams`: names its stream may have had.
    """
    row = suspect.row
    for place in dict.fromkeys((row.position, *places)):
        moved = replace(row, position=place)
        for previous in dict.fromkeys((suspect.previous, *hashes)):
            if (place, previous) != (row.position, suspect.previous) and follows(previous, moved):
                return Proof(place, previous)
    for column, value in _changes(suspect, others, streams):
        changed = (
            replace(row, **{column: value}) if column != "row" else replace(value, position=row.position)
        )
        if follows(suspect.previous, replace(changed, hash=row.hash)):
            return Proof(row.position, suspect.previous, column, value)
    return None


def named_streams(rows: Sequence[Recorded]) -> set[str]:
    """Streams that these rows stand in or speak of."""
    found: set[str] = set()
    for row in rows:
        found.add(row.stream)
        try:
            data = msgspec.json.decode(row.data)
        except msgspec.DecodeError:
            continue
        if isinstance(data, dict):
            found |= {
                prefix + str(data[name])
                for prefix, name in ((JOB, "job"), (ACCOUNT, "account"))
                if name in data
            }
    return found


def _changes(
    suspect: Suspect, others: Sequence[Recorded], streams: Sequence[str]
) -> Iterator[tuple[str, Any]]:
    """Single changes that somebody may have made: a column's name and what may have stood there."""
    row = suspect.row
    near = [other for other in (suspect.before, suspect.after) if other is not None]
    yield from (("stream", stream) for stream in streams)
    for other in others:
        yield "row", other
        yield from ((column, getattr(other, column)) for column in _CONTENT)
    yield from (("type", name) for name in EVENT_TYPES)
    yield from (("recorded_at_us", other.recorded_at_us) for other in near)
    for step in range(-1000, 1001):
        yield "recorded_at_us", row.recorded_at_us + step
        if (version := row.version + step) > 0:
            yield "version", version
    yield from (("command_events", count) for count in range(1, 2 * 50 + 10))
    if row.key is not None:
        yield "key", row.key.strip()


_SHOWN_CHARS = 80


class Located:
    """Works through the suspects; `findings` says what was done, once for what belongs together."""

    def __init__(
        self, suspects: Sequence[Suspect], seen: dict[int, bytes], streams: dict[int, list[str]], head: int
    ) -> None:
        self._suspects = suspects
        self._seen = seen
        self._head = head
        self.positions: set[int] = set()
        self._found: list[tuple[Kind, int | None, str]] = []
        self._hashes = self._possible_hashes()
        self._computed = {s.row.position: written_hash(s.previous, s.row) for s in suspects}
        rows = [s.row for s in suspects]
        near = [r for s in suspects for r in (s.before, s.after) if r is not None]
        self._streams, self._named = streams, sorted(named_streams([*rows, *near]))
        self._proofs = self._prove(rows)
        self._by_position = {s.row.position: s for s in suspects}

    def findings(self) -> list[tuple[Kind, int | None, str]]:
        """Kind, position and words, in order."""
        renumbered = self._renumbered()
        for suspect in self._suspects:
            if suspect.row.position not in self.positions and suspect.row.position not in renumbered:
                self._judge(suspect)
        return sorted(self._found, key=lambda found: found[1] or 0)

    def _possible_hashes(self) -> list[bytes]:
        hashes = {s.row.hash: None for s in self._suspects}
        hashes |= {s.previous: None for s in self._suspects}
        return list(hashes)

    def _prove(self, rows: list[Recorded]) -> dict[int, Proof]:
        missing = self._missing()
        proofs: dict[int, Proof] = {}
        for suspect in self._suspects:
            position = suspect.row.position
            near = [position + n for n in range(-NEARBY, NEARBY + 1) if n and position + n > 0]
            hashes = [*self._hashes, *self._computed.values()]
            others = [row for row in rows if row.position != position]
            places = [*missing, *(row.position for row in others), *near]
            streams = [*self._named, *self._streams.get(suspect.row.version, [])]
            proof = prove(suspect, hashes, places, others, streams)
            if proof is not None:
                proofs[position] = proof
        return proofs

    def _missing(self) -> list[int]:
        """Positions that no row has, at both ends of each gap."""
        found: list[int] = []
        for suspect in self._suspects:
            last, count = suspect.row.position - 1, min(suspect.gap, NEARBY)
            found += [
                *range(last, last - count, -1),
                *range(last - suspect.gap + 1, last - suspect.gap + 1 + count),
            ]
        return found

    def _say(self, kind: Kind, position: int, message: str) -> None:
        self.positions.add(position)
        self._found.append((kind, position, message))

    def _renumbered(self) -> set[int]:
        """Rows that stand all the same number of places from where they were written: rows came or went."""
        holes = set(self._missing())
        shifts: dict[int, list[int]] = {}
        for position, proof in self._proofs.items():
            if not proof.column and proof.position != position and proof.position not in holes:
                shifts.setdefault(position - proof.position, []).append(position)
        done: set[int] = set()
        for shift, moved in shifts.items():
            first = min(moved)
            to_the_end = max(moved) in (self._head, self._suspects[-1].row.position)
            if not to_the_end or self._exchanged(moved):
                continue
            done |= set(moved)
            if shift > 0:
                for at in range(first - shift, first):
                    message = (
                        f"position {at} holds a row that was not written there: "
                        f"the rows from {first} on were moved back to make room"
                    )
                    self._say("inserted", at, message)
                continue
            if first - 1 in self._by_position and first - 1 not in self._proofs:
                first -= 1  # the first one came after a row that is gone
                done.add(first)
            message = (
                f"{-shift} rows written at position {first} are missing: "
                "the rows after them were moved forward to hide it"
            )
            self._say("deleted", first, message)
        return done

    def _exchanged(self, moved: list[int]) -> bool:
        places = {self._proofs[position].position for position in moved}
        return all(place in self._proofs and self._proofs[place].position in moved for place in places)

    def _judge(self, suspect: Suspect) -> None:
        position = suspect.row.position
        proof = self._proofs.get(position)
        if proof is None:
            self._unproven(suspect)
        elif proof.column:
            self._changed(suspect, proof)
        elif proof.position != position:
            self._moved(position, proof.position)
        elif suspect.before is not None and self._computed.get(suspect.before.position) == proof.previous:
            before = suspect.before.position
            self.positions.add(position)
            self._say("edited", before, f"the hash stored at position {before} was changed; its row was not")
        elif suspect.gap:
            self._deleted(suspect)
        else:
            self.positions.add(position)  # intact: what stood before it was changed or moved

    def _unproven(self, suspect: Suspect) -> None:
        row, position, after = suspect.row, suspect.row.position, suspect.after
        computed = self._computed[position]
        next_proof = None if after is None else self._proofs.get(after.position)
        if suspect.gap:
            self._deleted(suspect)
        elif self._seen.get(position) == computed or (next_proof and next_proof.previous == computed):
            self._say("edited", position, f"the hash at position {position} was changed; its row was not")
        elif after is not None and suspect.after_broken and next_proof is None:
            self.positions.add(after.position)
            message = (
                f"position {position} holds another row than was written: "
                "neither its own hash nor the next one follows"
            )
            self._say("edited", position, message)
        elif after is None and not any(at >= position for at in self._seen):
            message = (
                f"position {position}, the last, does not follow, and nobody has seen it: "
                "it was put there by hand, or changed after it was written"
            )
            self._say("inserted", position, message)
        else:
            message = (
                f"the {row.type} at position {position} was changed after it was written: its hash does not "
                "follow, the next one does (or all rows before it were rewritten, with hashes that fit)"
            )
            self._say("edited", position, message)

    def _deleted(self, suspect: Suspect) -> None:
        last = suspect.row.position - 1
        first = last - suspect.gap + 1
        gone = {proof.position: at for at, proof in self._proofs.items() if proof.position != at}
        if suspect.gap == 1 and last in gone:
            self._moved(gone[last], last)
            return
        what = f"position {first} is" if first == last else f"positions {first} to {last} are"
        self.positions |= {suspect.row.position}
        self._say("deleted", first, f"{what} missing")

    def _changed(self, suspect: Suspect, proof: Proof) -> None:
        position, row = suspect.row.position, suspect.row
        if proof.column == "stream":
            message = f"position {position} was written to {proof.was} and stands in {row.stream} now"
            self._say("renamed", position, message)
            return
        twin = next((s.row for s in self._suspects if s.row is proof.was), None)
        if proof.column == "row" and twin is not None:
            self._exchange(position, twin.position, "the rows")
            return
        other = next(
            (at for at, p in self._proofs.items()
             if at != position and p.column == proof.column and p.was == getattr(row, proof.column)),
            None,
        )  # fmt: skip
        if other is not None:
            self._exchange(position, other, f"the {proof.column} of the rows")
            return
        was = _short(proof.was)
        now = _short(getattr(row, proof.column))
        self._say("edited", position, f"{proof.column} at position {position} was {was} and is {now} now")

    def _moved(self, position: int, came_from: int) -> None:
        back = self._proofs.get(came_from)
        if back is not None and back.position == position:
            self._exchange(position, came_from, "the rows")
            return
        self.positions.add(position)
        self._say(
            "moved", came_from, f"the row written at position {came_from} stands at position {position}"
        )

    def _exchange(self, one: int, other: int, what: str) -> None:
        one, other = sorted((one, other))
        self.positions.add(other)
        self._say("moved", one, f"{what} at positions {one} and {other} were swapped")


def _short(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


# From "the hash does not follow here" to what was done: edited, renamed, deleted, inserted, moved.


SUSPECTS_MAX = 60
"""So many broken rows are looked at one by one; of more only the number is told."""


async def locate(
    connection: "Connection", chain: Chain, seen: dict[int, bytes], findings: Findings
) -> set[int]:
    """Say what was done to the rows that do not follow; the positions that are spoken of.

    `seen` are the hashes that others remember, by position: they tell a changed row from a changed hash.
    """
    if not chain.broken:
        return set()
    suspects = await _suspects(connection, chain)
    streams = await _streams(connection, suspects)
    found = Located(suspects, seen, streams, chain.head.position)
    for kind, position, message in found.findings():
        findings.add(kind, position, message)
    if chain.broken > len(suspects):
        message = (
            f"{chain.broken - len(suspects)} more hashes do not follow, up to position {chain.breaks[-1]}"
        )
        findings.add("sequence", chain.breaks[len(suspects)], message)
    return found.positions | set(chain.breaks)


async def _suspects(connection: "Connection", chain: Chain) -> list[Suspect]:
    broken = set(chain.breaks)
    suspects = []
    for position in chain.breaks[:SUSPECTS_MAX]:
        rows = [Recorded(*row) for row in await connection.fetch(query("around"), position)]
        at = next(index for index, row in enumerate(rows) if row.position == position)
        after = rows[at + 1] if at + 1 < len(rows) else None
        before = rows[at - 1] if at else None
        suspects.append(Suspect(rows[at], before, after, after is not None and after.position in broken))
    return suspects


async def _streams(connection: "Connection", suspects: Sequence[Suspect]) -> dict[int, list[str]]:
    """For each version that a suspect has: the streams where it may have stood."""
    versions = {s.row.version for s in suspects}
    torn = [row[0] for row in await connection.fetch(query("torn_streams"))]
    found = {version: list(torn) for version in versions}
    for row in await connection.fetch(query("streams_ending"), [v - 1 for v in versions]):
        found[row["version"] + 1].append(row["stream"])
    return found
