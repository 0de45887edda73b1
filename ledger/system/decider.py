"""Rules of the system's own streams. Pure."""

import re
from typing import Final, assert_never

import msgspec
from msgspec.structs import replace

from events import system
from events.stream_names import CLOCK_STREAM, LOG_STREAM, SALES_STREAM, system_stream
from events.system import (
    DayCapChecked,
    KeyRotated,
    LogStated,
    SalesPaused,
    SalesResumed,
    SystemEvent,
    SystemStarted,
    generation,
)
from ledger import errors
from ledger.accounts.decider import NewEvents, View, require_said, state_of
from ledger.system.commands import (
    CheckDayCap,
    LogCommand,
    PauseSales,
    RecordStart,
    ResumeSales,
    SystemCommand,
)

_PROCESS: Final = re.compile("[a-z]{1,32}")
_VERSION: Final = re.compile("[A-Za-z0-9_.+-]{1,64}")
_COMMIT: Final = re.compile("([0-9a-f]{40,64})?")
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_KEY: Final = re.compile(r"[^\s+]{1,200}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}")
_DAY_US: Final = 86_400_000_000
_NEVER: Final = -1


class SystemState(msgspec.Struct, frozen=True):
    """Of `system-sales`: whether sales are paused, the last days whose caps were reached, and lifted.

    Of `system-log`: the `key` that signs it. Starts leave nothing to decide by. `broken` says why an event
    could not be read.
    """

    paused: bool = False
    cost_day: int = _NEVER
    welcome_day: int = _NEVER
    lifted_day: int = 0
    key: str = ""
    broken: str = ""

    def closed(self, now_us: int) -> errors.WhyPaused | None:
        """Why nothing is sold at this time; by its own day alone a cap counts, wherever it was dated."""
        if self.paused or self.broken:
            return "paused"
        return "cap" if self.cost_day == day_of(now_us) else None


def day_of(at_us: int) -> int:
    """Days since 1970-01-01 (UTC)."""
    return at_us // _DAY_US


def evolve(state: SystemState, event: SystemEvent) -> SystemState:
    match event:
        case SystemStarted() | system.ClockCorrected():
            return state
        case SalesPaused():
            return replace(state, paused=True)
        case SalesResumed():
            return SystemState(welcome_day=state.welcome_day, lifted_day=event.day)  # readable again
        case DayCapChecked():
            return replace(state, **{f"{event.cap}_day": event.day if event.reached else _NEVER})
        case LogStated():
            return replace(state, key=event.key)
        case KeyRotated():
            return replace(state, key=event.new)
        case _ as never:
            assert_never(never)


def decide(view: View, command: SystemCommand, now_us: int) -> NewEvents:
    """The command's events with their streams. Raises InvalidCommandError."""
    if isinstance(command, LogCommand):
        return [(LOG_STREAM, tell(state_of(view, LOG_STREAM, SystemState), command))]
    stream = system_stream(command.process) if isinstance(command, RecordStart) else SALES_STREAM
    state = state_of(view, stream, SystemState)
    match command:
        case RecordStart():
            return start(command)
        case PauseSales():
            require_said(command.actor, command.reason)
            paused = SalesPaused(command.actor, command.reason)
            return [] if state.paused else [(SALES_STREAM, paused)]
        case ResumeSales():
            require_said(command.actor, command.reason)
            day = day_of(now_us)
            lifted = day if day in (state.cost_day, state.lifted_day) else 0  # lifted once is for all day
            resumed = SalesResumed(command.actor, command.reason, lifted)
            return [(SALES_STREAM, resumed)] if state.closed(now_us) else []
        case CheckDayCap():
            return check_cap(state, command)
        case _ as never:
            assert_never(never)


def start(command: RecordStart) -> NewEvents:
    """SystemStarted. What code or settings are called holds nothing that somebody wrote."""
    forms = (_PROCESS, command.process), (_VERSION, command.version), (_COMMIT, command.commit)
    if not all(form.fullmatch(said) for form, said in (*forms, (_DIGEST, command.settings))):
        raise errors.InvalidCommandError(
            "a start has a process, a version, a commit and a digest of settings"
        )
    if system_stream(command.process) in (SALES_STREAM, CLOCK_STREAM, LOG_STREAM):
        raise errors.InvalidCommandError(f"no process is called {command.process}")
    started = SystemStarted(command.process, command.version, command.commit, command.settings)
    return [(system_stream(command.process), started)]


def check_cap(state: SystemState, command: CheckDayCap) -> NewEvents:
    """DayCapChecked; nothing when that is known, and while the day's cap is lifted."""
    if command.day <= 0 or min(command.limit, command.total) < 0:
        raise errors.InvalidCommandError("limit and total are not below 0, of a day after 1970-01-01")
    known, lifted = state.welcome_day, False
    if command.cap == "cost":
        known, lifted = state.cost_day, command.day == state.lifted_day
    checked = DayCapChecked(command.cap, command.day, command.limit, command.total)
    if lifted or checked.reached == (known == command.day):
        return []
    return [(SALES_STREAM, checked)]


def require_selling(state: SystemState, now_us: int) -> None:
    """Raises SalesPausedError."""
    if why := state.closed(now_us):
        raise errors.SalesPausedError(why)


def tell(state: SystemState, command: LogCommand) -> LogStated | KeyRotated:
    """The event, if it goes on with the log's key.

    A restored log begins anew under the next name, with any key. Signatures are not looked at: who reads them
    does that (ledger/checkpoints/store.py).
    """
    told = command.told
    new = told.key if isinstance(told, LogStated) else told.new
    if not _KEY.fullmatch(new):
        raise errors.InvalidCommandError("a key is <name>+<8 hex digits>+<base64>")
    (name, number), (now, reached) = (generation(key.partition("+")[0]) for key in (new, state.key))
    if isinstance(told, KeyRotated):
        require_said(told.actor, told.reason)
        if told.old != state.key or (name, number) != (now, reached) or new == told.old:
            raise errors.InvalidCommandError(
                f"the log is signed by {state.key or 'no key yet'}: only that one hands over, within its name"
            )
        return told
    if state.key and new != state.key and not (name == now and number > reached):
        raise errors.InvalidCommandError(
            f"the log is signed by {state.key}, not by {new}: `neurocards ledger rotate-key` changes that"
        )
    if state.key and told.previous is None:
        raise errors.InvalidCommandError("only the first statement has no predecessor")
    balances = [one.position for one in told.states if one.name == "balances"]
    if balances != ([told.books.position] if told.books else []):
        raise errors.InvalidCommandError("books stand beside the state of the balances, and where it stands")
    return told
