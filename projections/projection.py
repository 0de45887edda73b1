"""What a projection is: a name, a row, a key, a fold. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar, get_type_hints

import msgspec

from events.codec import Event, decode
from events.envelope import Recorded

RowT = TypeVar("RowT", bound=msgspec.Struct)


@dataclass(frozen=True)
class Projection(Generic[RowT]):
    """One read model.

    `row` is a frozen struct; its fields are the table's columns, the first is the key. Every event touches
    at most one row: `key_of` says which, None when the event is none of this projection's business.
    `evolve` gives the row after the event. It knows nothing but its arguments. Fields that are more than one
    value stand in `json_columns`. The last `added` fields are younger than the first signed state roots: a
    row's canonical form leaves them out while they and all after them hold their defaults, so that a root
    that was signed before they were there is found again.
    """

    name: str
    row: type[RowT]
    key_of: Callable[[Recorded], str | None]
    evolve: Callable[[RowT | None, Recorded, Event], RowT]
    json_columns: tuple[str, ...] = ()
    added: int = 0

    def canonical(self, row: RowT) -> tuple[Any, ...]:
        """The row's fields as its root covers them."""
        values = msgspec.structs.astuple(row)
        end = len(values)
        for default in self._added_defaults:
            if values[end - 1] != default:
                break
            end -= 1
        return values[:end]

    @cached_property
    def _added_defaults(self) -> tuple[Any, ...]:
        """From the last field on."""
        defaults = self.row.__struct_defaults__
        return defaults[: -self.added - 1 : -1] if self.added else ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return self.row.__struct_fields__

    @cached_property
    def _json(self) -> tuple[tuple[int, msgspec.json.Decoder[Any]], ...]:
        types = get_type_hints(self.row)
        return tuple((self.columns.index(c), msgspec.json.Decoder(types[c])) for c in self.json_columns)

    def from_columns(self, values: Iterable[Any]) -> RowT:
        """The row out of its table's columns, JSON as text."""
        if not self._json:
            return self.row(*values)
        columns = list(values)
        for index, decoder in self._json:
            columns[index] = decoder.decode(columns[index])
        return self.row(*columns)

    def fold(self, rows: dict[str, RowT], recorded: Recorded) -> str | None:
        """Fold one event into `rows`, in place; the key of the row it changed.

        Raises UnknownEventType also for an event on another projection's stream: a type this code does not
        know may mean anything.
        """
        event = decode(recorded)
        key = self.key_of(recorded)
        if key is not None:
            rows[key] = self.evolve(rows.get(key), recorded, event)
        return key

    def fold_all(self, events: Iterable[Recorded]) -> dict[str, RowT]:
        """The rows that follow from these events alone."""
        rows: dict[str, RowT] = {}
        for recorded in events:
            self.fold(rows, recorded)
        return rows


AnyProjection = Projection[Any]
