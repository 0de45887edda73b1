"""Figures: numbers with the events they are made of, or their source.

    Figure(84, "credits", of=Filter(types=("CreditsRefunded",), since_us=day), measure="amount")
    Figure(12, "count", source="Redis", at_us=now)

A figure of the log is rendered as a link to `/events`, where `measure` is taken of the events themselves.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import Any, Final, Literal, get_args
from urllib.parse import urlencode

import msgspec

from events.account import AccountEvent, CreditEvent, CreditsRevoked
from events.codec import Event, decode
from events.envelope import Recorded
from events.job import JobFailed, JobQueued, JobSucceeded
from events.payment import PaymentEvent
from ledger.accounts import state as account_state
from ledger.accounts.state import AccountState
from ledger.payments.state import PaymentState, evolve

Unit = Literal["count", "credits", "minor", "seconds", "percent", "bytes", "milli"]
"""`minor`: of `currency`; `milli`: thousandths of a provider's credit."""

CREDIT_TYPES: Final = tuple(cls.__name__ for cls in get_args(CreditEvent))
Measure = Callable[[Iterable[Event]], float]


class Filter(msgspec.Struct, frozen=True):
    """Conditions, all of which hold. Times are epoch microseconds, `since_us` inclusive, `until_us` not.

    `position` is the last that counts, the head when None; `positions` are all that count, at most 50.
    `where` are fields of the event and their values, as text; `a.b` is a field of a field. `counted` are
    those of what statistics count the event as, by what its stream said before: the model of a failure,
    `test` of money for credits.
    """

    types: tuple[str, ...] = ()
    stream: str = ""
    job: str = ""
    payment: str = ""
    actor: str = ""
    since_us: int | None = None
    until_us: int | None = None
    position: int | None = None
    where: tuple[tuple[str, str], ...] = ()
    counted: tuple[tuple[str, str], ...] = ()
    positions: tuple[int, ...] = ()

    def arguments(self) -> list[tuple[str, str]]:
        """As arguments of `/events`."""
        plain = [
            (name, str(value))
            for name in ("stream", "job", "payment", "actor", "since_us", "until_us", "position")
            if (value := getattr(self, name)) not in ("", None)
        ]
        return [
            *(("type", name) for name in self.types),
            *plain,
            *(("where", f"{name}={value}") for name, value in self.where),
            *(("counted", f"{name}={value}") for name, value in self.counted),
            *(("at", str(position)) for position in self.positions),
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


def price_of(row: Any) -> Figure:
    """What a job of the read model cost."""
    return Figure(row["price"], "credits", of=Filter(types=("JobQueued",), job=row["job"]), measure="price")


def _amount(event: Event) -> int:
    return int(getattr(event, "amount", 0))


def _effect(event: Event) -> int:
    return event.sign * event.amount if isinstance(event, CreditEvent) else 0


def _money(event: Event) -> int:
    return int(getattr(event, "amount_minor", 0))


def _sum(of: Callable[[Event], int]) -> Measure:
    return lambda events: sum(map(of, events))


def _cost(event: Event) -> int | None:
    return getattr(event, "charged_milli", None)


def _mean_cost(events: Iterable[Event]) -> int:
    told = [cost for event in events if (cost := _cost(event)) is not None]
    return round(sum(told) / len(told)) if told else 0


def _success(events: Iterable[Event]) -> float:
    """Percent of ended jobs that brought a video."""
    ended = [isinstance(event, JobSucceeded) for event in events]
    return 100 * sum(ended) / max(len(ended), 1)


def _money_of(field: str) -> Measure:
    """A field of a payment's money, by its own fold: flagged money counts once."""

    def measure(events: Iterable[Event]) -> int:
        own = (event for event in events if isinstance(event, PaymentEvent))
        return sum(getattr(received, field) for received in reduce(evolve, own, PaymentState()).received)

    return measure


def _state(events: Iterable[Event]) -> AccountState:
    own = (event for event in events if isinstance(event, AccountEvent))
    return reduce(account_state.evolve, own, AccountState())


def _lot(events: Iterable[Event], number: int) -> int:
    return sum(lot.amount for lot in _state(events).lots if lot.number == number)


def _spendable(events: Iterable[Event], time_us: int) -> int:
    return _state(events).available(time_us)


def _open(event: Event) -> int:
    match event:
        case JobQueued():
            return 1
        case JobSucceeded() | JobFailed():
            return -1
    return 0


MEASURES: Final[dict[str, Measure]] = {
    "count": _sum(lambda _: 1),
    "amount": _sum(_amount),
    "effect": _sum(_effect),
    "booked": _sum(lambda event: -_effect(event)),
    "money": _sum(_money),
    "paid": _money_of("amount_minor"),
    "returned": _money_of("refunded_minor"),
    "price": _sum(lambda event: event.price if isinstance(event, JobQueued) else 0),
    "uncovered": _sum(
        lambda event: (
            event.amount - sum(part.amount for part in event.parts)
            if isinstance(event, CreditsRevoked)
            else 0
        )
    ),
    "debt": lambda events: _state(events).debt,
    "open": _sum(_open),
    "cost": _sum(lambda event: _cost(event) or 0),
    "mean_cost": _mean_cost,
    "success": _success,
}
"""Measure → what events, in the log's order, come to.

`effect` is signed credits of users, `booked` of the other side of the books; `open` counts unfinished jobs;
`paid` and `returned` are the money of one payment, `uncovered` credits revoked that were spent already,
`debt` what an account owes.
"""
SPAN: Final = "seconds"
"""Measure of the time from the first event to the last."""
MEASURES_WITH: Final[dict[str, Callable[[Iterable[Event], int], int]]] = {
    "lot": _lot,
    "spendable": _spendable,
}
"""As `lot:3` and `spendable:<epoch µs>`: what is left of an account's lot; what it can spend at a time."""


def measured(measure: str, rows: Sequence[Recorded]) -> float:
    """A measure of events in the log's order. Raises KeyError for an unknown one, CodecError."""
    if measure == SPAN:
        return (rows[-1].recorded_at_us - rows[0].recorded_at_us) / 1e6 if rows else 0.0
    events = map(decode, rows)
    name, _, argument = measure.partition(":")
    if argument.isascii() and argument.isdigit():
        return MEASURES_WITH[name](events, int(argument))
    return MEASURES[measure](events)


def value_at(data: dict[str, Any], path: str) -> str | None:
    """The text of a field, `a.b` being a field of a field; None where there is none."""
    value: Any = data
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
