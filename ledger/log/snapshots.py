"""Snapshots of folded account states, for long histories. Made by `maintenance` alone.

A snapshot names the event it was made at, and counts only while the log holds exactly that event. It is
sealed with a checksum against torn or half-edited rows. It is a cache and no proof.
"""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from ledger.accounts.state import AccountState
from ledger.decider import State, fold, initial
from ledger.postgres import Pool, Reader
from ledger.sql import load_queries

query = load_queries("ledger.log")

SEPARATOR: Final = "\x1f"
"""Joins a column's values; JSON escapes it and names never hold it."""

EVERY_VERSIONS: Final = 1000
"""An account's state is kept whenever its version crosses a multiple of this."""

SNAPSHOT: Final = "snapshot"
"""Stands where an event's type stands; see the query `streams_cold`."""

_RULES: Final = 1
"""Raise it when `ledger.accounts.state.evolve` comes to mean something else for events that are in the
log."""

_SHAPE = msgspec.json.encode(msgspec.json.schema(AccountState), order="sorted")
FORMAT: Final = f"{_RULES}-{sha256(_SHAPE).hexdigest()[:16]}"
"""Changes by itself with the fields of AccountState: rows of another format are not read."""

PAGE_EVENTS: Final = 2000
"""Of one stream in one statement, so that none runs into its timeout."""

_HASH_HEX = 64

StreamEvent = tuple[str, int, str, str]
"""Stream, version, type, data."""

States = dict[str, tuple[int, State]]
"""Version and state of each stream."""


class _Sealed(msgspec.Struct, frozen=True):
    state: msgspec.Raw
    sum: str


_encoder = msgspec.json.Encoder()
_sealed_decoder = msgspec.json.Decoder(_Sealed)
_state_decoder = msgspec.json.Decoder(AccountState)


class Snapshot(NamedTuple):
    stream: str
    version: int
    position: int
    hash: bytes
    state: AccountState

    @property
    def sealed(self) -> bytes:
        state = _encoder.encode(self.state)
        return _encoder.encode(_Sealed(msgspec.Raw(state), _sum(self.stream, self.version, self.hash, state)))


async def load(source: Reader, streams: Sequence[str]) -> States:
    """Versions and states of streams, from their snapshots where they have one."""
    states: States = {stream: (0, initial(stream)) for stream in streams}
    rows = await source.fetch(query("streams_cold"), SEPARATOR.join(streams), FORMAT, PAGE_EVENTS)
    events: list[StreamEvent] = [tuple(row) for row in rows]
    more = folded(states, events) | _full(events)
    while more:
        versions = {stream: states[stream][0] for stream in more}
        after = SEPARATOR.join(map(str, versions.values()))
        rows = await source.fetch(query("streams_after"), SEPARATOR.join(versions), after, PAGE_EVENTS)
        events = [tuple(row) for row in rows]
        folded(states, events)
        more = _full(events)
    return states


async def newest(source: Reader, stream: str) -> tuple[int, AccountState]:
    """Version and state of an account's snapshot; 0 and an empty one without."""
    states: States = {stream: (0, AccountState())}
    rows = await source.fetch(query("streams_cold"), stream, FORMAT, 0)
    folded(states, [tuple(row) for row in rows])
    version, state = states[stream]
    assert isinstance(state, AccountState)
    return version, state


async def keep_snapshots(pool: Pool, limit: int = 100) -> int:
    """Keep snapshots of accounts that have become long; their number.

    Long: an event more whose number is a multiple of EVERY_VERSIONS. A state that cannot be read is kept by
    nobody.
    """
    kept = 0
    for (stream,) in await pool.fetch(query("snapshots_due"), FORMAT, EVERY_VERSIONS, limit):
        version, state = (await load(pool, [stream]))[stream]
        row = await pool.fetchrow(query("event_of_version"), stream, version)
        if row is None or not isinstance(state, AccountState) or state.broken:
            continue
        snapshot = Snapshot(stream, version, row["position"], row["hash"], state)
        await pool.execute(query("keep_snapshot"), *snapshot[:4], FORMAT, snapshot.sealed.decode())
        kept += 1
    return kept


def folded(states: States, events: Sequence[StreamEvent]) -> set[str]:
    """Fold events, maybe from a snapshot, into `states` in place.

    Events of other streams are left out. Returns the streams whose snapshot cannot be read: to be folded from
    the start.
    """
    torn: set[str] = set()
    for stream, version, type_name, data in events:
        if stream not in states or stream in torn:
            continue
        if type_name == SNAPSHOT:
            state = _opened(stream, version, data)
            if state is None:
                torn.add(stream)
            else:
                states[stream] = (version, state)
        else:
            states[stream] = (version, fold(states[stream][1], type_name, data))
    return torn


def _full(events: Sequence[StreamEvent]) -> set[str]:
    if len(events) < PAGE_EVENTS:
        return set()
    counts = Counter([stream for stream, _, kind, _ in events if kind != SNAPSHOT])
    return {stream for stream, count in counts.items() if count >= PAGE_EVENTS}


def _opened(stream: str, version: int, data: str) -> AccountState | None:
    try:
        sealed = _sealed_decoder.decode(data[_HASH_HEX:])
        state = bytes(sealed.state)
        if sealed.sum != _sum(stream, version, bytes.fromhex(data[:_HASH_HEX]), state):
            return None
        return _state_decoder.decode(state)
    except (ValueError, msgspec.MsgspecError):
        return None


def _sum(stream: str, version: int, hash_: bytes, state: bytes) -> str:
    return sha256(b"\0".join((stream.encode(), str(version).encode(), hash_, state))).hexdigest()
