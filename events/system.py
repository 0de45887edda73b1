"""Events of the system itself: `system-<process>`, `system-sales`, `system-clock`, `system-log`."""

import re
from typing import Final

import msgspec

_RESTORED: Final = re.compile("(.+)/([2-9]|[1-9][0-9]{1,5})")


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
    stage = "system"
    words = "sales resumed: {reason}, by {actor}"
    actor: str
    reason: str


class SpendCapReached(msgspec.Struct, frozen=True):
    """What the provider charged on `day` (UTC) reached the cap; both in thousandths of its credits."""

    stage = "system"
    words = "spend cap of {day} reached: {spent_milli} of {cap_milli} thousandths of the provider's credits"
    day: str
    cap_milli: int
    spent_milli: int


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
    SystemStarted | SalesPaused | SalesResumed | SpendCapReached | ClockCorrected | LogStated | KeyRotated
)


def generation(origin: str) -> tuple[str, int]:
    """A log's name and how often it began: `log/2` is `log` after its first restoration."""
    restored = _RESTORED.fullmatch(origin)
    return (restored[1], int(restored[2])) if restored else (origin, 1)
