"""Snapshots of folded account states, for long histories.

A snapshot names the event it was made at, and counts only while the log holds exactly that event. It is
sealed with a checksum against torn or half-edited rows. It is a cache and no proof.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

import msgspec

from ledger.accounts.state import AccountState
from ledger.decider import State, fold, initial

EVERY_VERSIONS: Final = 1000
"""An account's state is kept whenever its version crosses a multiple of this."""

SNAPSHOT: Final = "snapshot"
"""Stands where an event's type stands; see the query `append_cold`."""

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


def is_due(before: int, after: int, state: AccountState) -> bool:
    return before // EVERY_VERSIONS != after // EVERY_VERSIONS and not state.broken


class Source(Protocol):
    """Reader of streams: rows in stream order, at most PAGE_EVENTS of each."""

    async def streams(self, streams: Sequence[str]) -> Sequence[StreamEvent]:
        """Events from the snapshot (type SNAPSHOT) or from the start."""

    async def streams_after(self, versions: Mapping[str, int]) -> Sequence[StreamEvent]:
        """After a version each."""


async def load(source: Source, wanted: Mapping[str, tuple[int, State] | None]) -> tuple[States, set[str]]:
    """States of streams, and the accounts whose snapshots are due.

    `wanted` has the states already known, with their versions.
    """
    states: States = {stream: known or (0, initial(stream)) for stream, known in wanted.items()}
    more = {stream for stream, known in wanted.items() if known is not None}
    long: Counter[str] = Counter()
    if cold := [stream for stream, known in wanted.items() if known is None]:
        events = await source.streams(cold)
        more |= folded(states, events) | _full(events, long)
    while more:
        events = await source.streams_after({stream: states[stream][0] for stream in more})
        folded(states, events)
        more = _full(events, long)
    return states, {stream for stream, count in long.items() if count >= EVERY_VERSIONS}


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


def _full(events: Sequence[StreamEvent], long: "Counter[str]") -> set[str]:
    if len(events) < min(PAGE_EVENTS, EVERY_VERSIONS):
        return set()
    counts = Counter([stream for stream, _, kind, _ in events if kind != SNAPSHOT])
    long.update(counts)
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
