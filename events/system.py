"""Events of the system itself: `system-<process>`, `system-sales` for all that sell, `system-clock`."""

import msgspec


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


SystemEvent = SystemStarted | SalesPaused | SalesResumed | SpendCapReached | ClockCorrected
