"""Commands about the system itself."""

import msgspec

from events.system import Cap, KeyRotated, LogStated


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
    """Sell again, also above the day's cost cap."""

    actor: str
    reason: str


class CheckDayCap(msgspec.Struct, frozen=True):
    """Record whether the day's total reaches its cap, when that is news; as in DayCapChecked."""

    cap: Cap
    day: int
    limit: int
    total: int


class StateLog(msgspec.Struct, frozen=True):
    """State what the log is, as the key that signs it; as in LogStated."""

    told: LogStated


class RotateKey(msgspec.Struct, frozen=True):
    """Let another key sign the log from here on; as in KeyRotated."""

    told: KeyRotated


LogCommand = StateLog | RotateKey
SalesCommand = PauseSales | ResumeSales | CheckDayCap
SystemCommand = RecordStart | SalesCommand | LogCommand
