"""Events of the system itself: streams `system-<process>`, and `system-sales` for all that sell."""

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


SystemEvent = SystemStarted | SalesPaused | SalesResumed | SpendCapReached
