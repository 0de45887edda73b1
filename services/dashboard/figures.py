"""Figures: numbers with the events they are made of, or their source.

    Figure(84, "credits", of=Filter(types=("CreditsRefunded",), since_us=day), measure="amount")
    Figure(12, "count", source="Redis", at_us=now)

A figure of the log is rendered as a link to `/events`, where `measure` is taken of the events themselves.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from events.account import CreditEvent
from events.codec import Event
from events.job import JobFailed, JobQueued, JobSucceeded
from events.payment import PaymentSucceeded

Unit = Literal["count", "credits", "minor", "seconds", "percent", "bytes", "milli"]
"""`minor`: of `currency`; `milli`: thousandths of a provider's credit."""


class Filter(msgspec.Struct, frozen=True):
    """Conditions, all of which hold. Times are epoch microseconds, `since_us` inclusive, `until_us` not.

    `position` is the last that counts, the head when None. `where` are fields of the event and their values,
    as text; `a.b` is a field of a field.
    """

    types: tuple[str, ...] = ()
    stream: str = ""
    account: str = ""
    job: str = ""
    payment: str = ""
    actor: str = ""
    since_us: int | None = None
    until_us: int | None = None
    position: int | None = None
    where: tuple[tuple[str, str], ...] = ()

    def arguments(self) -> list[tuple[str, str]]:
        """As arguments of `/events`."""
        plain = [
            (name, str(value))
            for name in ("stream", "account", "job", "payment", "actor", "since_us", "until_us", "position")
            if (value := getattr(self, name)) not in ("", None)
        ]
        return [
            *(("type", name) for name in self.types),
            *plain,
            *(("where", f"{name}={value}") for name, value in self.where),
        ]


class Figure(msgspec.Struct, frozen=True):
    """A number; None is not known. Either `of` and `measure`, or `source` and `at_us`.

    `currency` belongs to the unit `minor`. `at_us` is when it was true, epoch microseconds.
    """

    value: int | float | None
    unit: Unit = "count"
    of: Filter | None = None
    measure: str = "count"
    source: str = ""
    at_us: int | None = None
    currency: str = "RUB"

    def href(self) -> str:
        """Address of the events it is made of; empty when the log does not say."""
        if self.of is None or self.value is None:
            return ""
        return "/events?" + urlencode(
            [*self.of.arguments(), ("measure", self.measure), ("is", str(self.value))]
        )


def _amount(event: Event) -> int:
    return int(getattr(event, "amount", 0))


def _effect(event: Event) -> int:
    return event.sign * event.amount if isinstance(event, CreditEvent) else 0


def _money(event: Event) -> int:
    return int(getattr(event, "amount_minor", 0))


def _open(event: Event) -> int:
    match event:
        case JobQueued():
            return 1
        case JobSucceeded() | JobFailed():
            return -1
    return 0


MEASURES: Final[dict[str, Callable[[Event], int]]] = {
    "count": lambda _: 1,
    "amount": _amount,
    "effect": _effect,
    "money": _money,
    "received": lambda event: _money(event) if isinstance(event, PaymentSucceeded) else 0,
    "open": _open,
    "cost": lambda event: int(getattr(event, "charged_milli", 0) or 0),
}
"""Measure → what an event adds to it. `effect` is signed credits; `open` counts unfinished jobs."""


def measured(measure: str, events: Iterable[Event]) -> int:
    """The sum of a measure. Raises KeyError for an unknown one."""
    of = MEASURES[measure]
    return sum(of(event) for event in events)


def value_at(data: dict[str, Any], path: str) -> str | None:
    """The text of a field, `a.b` being a field of a field; None where there is none."""
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
