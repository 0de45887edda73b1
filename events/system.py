"""Events of the system itself: `system-<process>`, `system-sales`, `system-clock`, `system-log`."""

import re
from typing import Final, Literal

import msgspec

_RESTORED: Final = re.compile("(.+)/([2-9]|[1-9][0-9]{1,5})")

Cap = Literal["cost", "welcome"]


class SystemStarted(msgspec.Struct, frozen=True):
    """Process that appends has started; what it appends comes later.

    `version` and `commit` (empty: not known) are the code's, `settings` is the SHA-256 in hex of its
    settings, in which no secret counts (services/platform/system_start.py).
    """

    stage = "system"
    words = "{process} started, version {version}{commit:, commit %}, settings {settings}"
    process: str
    version: str
    commit: str
    settings: str


class SalesPaused(msgspec.Struct, frozen=True):
    """Nothing is sold and nothing ordered until it is resumed."""

    stage = "system"
    words = "sales paused: {reason}, by {actor}"
    actor: str
    reason: str


class SalesResumed(msgspec.Struct, frozen=True):
    """Sales go on. `day` as in DayCapChecked: its cost cap was reached and is lifted; 0: none."""

    stage = "system"
    words = "sales resumed{day:, cost cap of % lifted}: {reason}, by {actor}"
    actor: str
    reason: str
    day: int = 0


class DayCapChecked(msgspec.Struct, frozen=True):
    """The `total` of a day reached its cap, or no longer does: the cap is another, or the clock was.

    `day`: days since 1970-01-01 (UTC).
    `cost`: what the provider charges, in thousandths of its credits. `welcome`: credits given to new
    accounts. A `limit` of 0 is none.
    """

    stage = "system"
    words = "{cap} of {day}: {total} of {limit}"
    cap: Cap
    day: int
    limit: int
    total: int

    @property
    def reached(self) -> bool:
        return 0 < self.limit <= self.total


class ClockCorrected(msgspec.Struct, frozen=True):
    """The log's time goes back to `to_us`, and only here; the event before is of `from_us`.

    What stands from `from_position` on was stamped later than `to_us`, by a clock that was ahead.
    """

    stage = "system"
    words = "the log's time goes back to {to_us}, ahead since position {from_position}: {reason}, by {actor}"
    from_position: int
    from_us: int
    to_us: int
    reason: str
    actor: str


class SignedState(msgspec.Struct, frozen=True):
    """A projection's root at its position; `root` as in projections/engine/state_root.py."""

    name: str
    position: int
    root: str


class Books(msgspec.Struct, frozen=True):
    """Totals over all `accounts` at a position, in credits."""

    position: int
    totals: tuple[tuple[str, int], ...]


class Predecessor(msgspec.Struct, frozen=True):
    """What was signed before.

    `root` of a tree of `size` leaves and SHA-256 of the `note`, both in hex. After a restoration: what was
    kept of `origin`, and the restoration's note.
    """

    origin: str
    size: int
    root: str
    note: str


class LogStated(msgspec.Struct, frozen=True):
    """What the log is, as its own last leaf.

    The note of the tree that ends here is signed by `key`, `<origin>+<id>+<base64>`. `program` is the
    version that says so, `previous` None in the first one.
    """

    stage = "system"
    words = "log stated by version {program}, to be signed by {key}"
    key: str
    program: str
    states: tuple[SignedState, ...]
    books: Books | None = None
    previous: Predecessor | None = None


class KeyRotated(msgspec.Struct, frozen=True):
    """Another key signs the log from here on.

    Both public keys are whole; `signatures` are the lines of a signed note, by both.
    """

    stage = "system"
    words = "signing key changed from {old} to {new}: {reason}, by {actor}"
    old: str
    new: str
    signatures: str
    actor: str
    reason: str


SystemEvent = (
    SystemStarted | SalesPaused | SalesResumed | DayCapChecked | ClockCorrected | LogStated | KeyRotated
)


def generation(origin: str) -> tuple[str, int]:
    """A log's name and how often it began: `log/2` is `log` after its first restoration."""
    restored = _RESTORED.fullmatch(origin)
    return (restored[1], int(restored[2])) if restored else (origin, 1)
