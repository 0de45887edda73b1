"""Checks of `neurocards doctor`: settings, machine, databases, outside companies."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class State(StrEnum):
    ok = "ok"
    warn = "warn"
    """It works, and something about it may surprise."""
    fail = "fail"


@dataclass(frozen=True)
class Check:
    name: str
    state: State
    found: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""

    def as_row(self) -> dict[str, str]:
        return {key: str(value) for key, value in asdict(self).items()}


def ok(name: str, found: str) -> Check:
    return Check(name, State.ok, found)


def warn(name: str, found: str, advice: str) -> Check:
    return Check(name, State.warn, found, advice)


def fail(name: str, found: str, advice: str) -> Check:
    return Check(name, State.fail, found, advice)
