"""Projection interface: a row, and how events change it. Pure.

A page of the log goes through it in three steps, so that a table is read at most twice per page:

    reads = projection.read(page)                     # decoded, and only what matters
    earlier = …                                       # what projection.needed_earlier(reads) asks for
    changes = projection.changes(reads, earlier)      # which rows change, and by what
    rows = …                                          # what there is of those rows
    projection.fold(rows, changes)
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar, get_type_hints

import msgspec
from msgspec import DecodeError

from events.codec import DECODE, EVENT_TYPES, Event, decode
from events.envelope import Recorded
from events.errors import UnknownEventTypeError

RowT = TypeVar("RowT", bound=msgspec.Struct)

_encode = msgspec.json.Encoder().encode

Earlier = Mapping[str, Sequence[Event]]
"""Stream → events of it that came before a page, in order."""


class Read(NamedTuple):
    recorded: Recorded
    event: Event


Change = tuple[str, Recorded, Any]
"""What an event does to a row: the row's key, the event, and what of it is given to `evolve`."""


@dataclass(frozen=True)
class Projection(ABC, Generic[RowT]):
    """One read model.

    `row` is a frozen struct; its fields are the table's columns, the first is the key. `evolve` is pure: the
    row after a change, from the row before it (None: there was none). Nested fields stand in `json_columns`.
    `indexes` are in SQL, what follows the table's name; a low `fillfactor` leaves room for rows that change.
    """

    name: str
    row: type[RowT]
    evolve: Callable[[RowT | None, Recorded, Any], RowT]
    json_columns: tuple[str, ...] = field(default=(), kw_only=True)
    indexes: tuple[str, ...] = field(default=(), kw_only=True)
    fillfactor: int = field(default=80, kw_only=True)

    @abstractmethod
    def concerns(self, recorded: Recorded) -> bool:
        """Whether the event can matter, without decoding it."""

    @abstractmethod
    def changes(self, reads: Iterable[Read], earlier: Earlier) -> list[Change]:
        """Changes by the events of a page, in order."""

    def needed_earlier(self, reads: Iterable[Read]) -> dict[str, int]:
        """Streams whose earlier events `changes` needs, and below which version."""
        del reads
        return {}

    def read(self, page: Iterable[Recorded]) -> list[Read]:
        """Decode relevant events. Raises CodecError, UnknownEventTypeError (any type may matter)."""
        reads = []
        for recorded in page:
            if self.concerns(recorded):
                reads.append(Read(recorded, decode(recorded)))
            elif recorded.type not in EVENT_TYPES:
                raise UnknownEventTypeError(recorded.type, recorded.position)
        return reads

    def begins(self, recorded: Recorded) -> bool:
        """Whether the event's row cannot exist before it, without looking."""
        del recorded
        return False

    def fold(self, rows: dict[str, RowT], changes: Iterable[Change]) -> None:
        evolve = self.evolve
        for key, recorded, what in changes:
            rows[key] = evolve(rows.get(key), recorded, what)

    def fold_all(self, events: Iterable[Recorded]) -> dict[str, RowT]:
        rows: dict[str, RowT] = {}
        self.fold(rows, self.changes(self.read(events), {}))
        return rows

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return self.row.__struct_fields__

    @cached_property
    def _json(self) -> tuple[tuple[int, msgspec.json.Decoder[Any]], ...]:
        types = get_type_hints(self.row)
        return tuple((self.columns.index(c), msgspec.json.Decoder(types[c])) for c in self.json_columns)

    def from_columns(self, values: Iterable[Any]) -> RowT:
        if not self._json:
            return self.row(*values)
        columns = list(values)
        for index, decoder in self._json:
            columns[index] = decoder.decode(columns[index])
        return self.row(*columns)

    def to_columns(self, row: RowT) -> tuple[Any, ...]:
        values = msgspec.structs.astuple(row)
        if not self._json:
            return values
        columns = list(values)
        for index, _ in self._json:
            columns[index] = _encode(columns[index]).decode()
        return tuple(columns)


@dataclass(frozen=True)
class OnePerStream(Projection[RowT]):
    """One row per stream of a kind. `kind`: prefix of these streams' names."""

    kind: str

    def concerns(self, recorded: Recorded) -> bool:
        return recorded.stream.startswith(self.kind)

    def key_of(self, recorded: Recorded) -> str | None:
        """The event's row; None when it does not concern this projection."""
        return recorded.stream[len(self.kind) :] if self.concerns(recorded) else None

    def begins(self, recorded: Recorded) -> bool:
        return recorded.version == 1

    def changes(self, reads: Iterable[Read], earlier: Earlier) -> list[Change]:
        del earlier
        skip = len(self.kind)
        return [(recorded.stream[skip:], recorded, event) for recorded, event in reads]

    def changes_in(self, page: Sequence[Recorded]) -> list[Change]:
        """`changes` of a page `read`, three times as fast: most of a rebuild."""
        kind, skip = self.kind, len(self.kind)
        if EVENT_TYPES.keys() >= {recorded.type for recorded in page}:
            with suppress(DecodeError):  # then told by `read`, which knows where
                return [
                    (recorded.stream[skip:], recorded, DECODE[recorded.type](recorded.data))
                    for recorded in page
                    if recorded.stream.startswith(kind)
                ]
        return self.changes(self.read(page), {})


@dataclass(frozen=True)
class ManyRows(Projection[RowT]):
    """Rows changed by events of many streams, any number per event.

    `reads` are the relevant event types. `spread` gives an event's (key, change) pairs. Where `depends` says
    that an event cannot be understood alone (a failure does not name the job's model), `spread` gets the
    `recalls` events of its stream that came before, in order, looked up in the log; otherwise none.
    """

    reads: frozenset[str]
    spread: Callable[[Recorded, Event, Sequence[Event]], Iterable[tuple[str, Any]]]
    depends: Callable[[Recorded, Event], bool] = field(default=lambda recorded, event: False, kw_only=True)
    recalls: frozenset[str] = field(default=frozenset(), kw_only=True)

    def concerns(self, recorded: Recorded) -> bool:
        return recorded.type in self.reads or recorded.type in self.recalls

    def needed_earlier(self, reads: Iterable[Read]) -> dict[str, int]:
        first: dict[str, int] = {}
        lacking: dict[str, int] = {}
        for recorded, event in reads:
            version = first.setdefault(recorded.stream, recorded.version)
            if version > 1 and self.depends(recorded, event):
                lacking[recorded.stream] = version
        return lacking

    def changes(self, reads: Iterable[Read], earlier: Earlier) -> list[Change]:
        judged = [(read, self.depends(*read)) for read in reads]
        streams = {recorded.stream for (recorded, _), depends in judged if depends}
        known = {stream: list(earlier.get(stream, ())) for stream in streams}
        made: list[Change] = []
        for (recorded, event), depends in judged:
            stream, name = recorded.stream, recorded.type
            if name in self.reads:
                given = known[stream] if depends else ()
                made += [(key, recorded, what) for key, what in self.spread(recorded, event, given)]
            if stream in known and name in self.recalls:
                known[stream].append(event)
        return made


AnyProjection = Projection[Any]


def names_of(*types: type[Any]) -> frozenset[str]:
    return frozenset(each.__name__ for each in types)
