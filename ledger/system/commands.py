"""Commands about the system itself."""

import msgspec


class RecordStart(msgspec.Struct, frozen=True):
    """Record a process's start, as in SystemStarted. The key has to be new for each start."""

    process: str
    version: str
    commit: str
    settings: str


class PauseSales(msgspec.Struct, frozen=True):
    """Sell nothing until resumed. Asking twice changes nothing."""

    actor: str
    reason: str


class ResumeSales(msgspec.Struct, frozen=True):
    actor: str
    reason: str


class RecordSpendCap(msgspec.Struct, frozen=True):
    """Record that the day's cap was reached, once a day; as in SpendCapReached."""

    day: str
    cap_milli: int
    spent_milli: int


SalesCommand = PauseSales | ResumeSales | RecordSpendCap
SystemCommand = RecordStart | SalesCommand
