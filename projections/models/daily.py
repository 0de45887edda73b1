"""What each day came to: people, orders, videos, credits and money. Days are UTC's."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace

from events.account import (
    AccountOpened,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
)
from events.codec import Event
from events.envelope import Recorded
from events.job import JobFailed, JobQueued, JobSucceeded, SubmissionIntended, VideoGifted
from events.payment import PaymentOrdered, PaymentRefunded, PaymentSucceeded
from projections.engine.projection import ManyRows, names_of
from projections.models.error_stats import model_of
from projections.models.time_buckets import day_name


class Money(msgspec.Struct, frozen=True, gc=False):
    """What came in and went back in one currency, in its smallest unit. `test`: no real money."""

    currency: str
    test: bool = False
    received_minor: int = 0
    returned_minor: int = 0


class Made(msgspec.Struct, frozen=True, gc=False):
    """Videos that one model has made, gifts included: what the provider takes money for."""

    model: str
    videos: int = 0


class Day(msgspec.Struct, frozen=True, gc=False):
    """One day, in UTC. All counts on the day it happened: a job ordered before midnight may end after it.

    `orders` are those of sellers, `jobs` the videos asked for, those made again included. A job ends in
    `videos` or `failures`; `gifts` came after a failure. Credits are whole: `granted` all that came in, of
    which `sold` for money; charged, refunded, revoked (less restored), expired. `money` is of payments that
    were credited; flagged money is none until it is settled. `position` is that of the day's last event
    that counts.
    """

    day: str
    registrations: int = 0
    orders: int = 0
    jobs: int = 0
    videos: int = 0
    failures: int = 0
    gifts: int = 0
    granted: int = 0
    sold: int = 0
    charged: int = 0
    refunded: int = 0
    revoked: int = 0
    expired: int = 0
    money: tuple[Money, ...] = ()
    made: tuple[Made, ...] = ()
    position: int = 0


Counted = Event | Made | Money


def spread(recorded: Recorded, event: Event, earlier: Sequence[Event]) -> Iterable[tuple[str, Counted]]:
    """What an event adds to its day."""
    day = day_name(recorded.recorded_at_us)
    yield day, event
    match event:
        case JobSucceeded() | VideoGifted():
            yield day, Made(model_of(earlier, event.submission), 1)
        case PaymentSucceeded():
            yield day, Money(event.currency, _is_test(earlier), received_minor=event.amount_minor)
        case PaymentRefunded():
            if any(isinstance(e, PaymentSucceeded) and _same(e, event) for e in earlier):
                yield day, Money(event.currency, _is_test(earlier), returned_minor=event.amount_minor)
        case _:
            pass


def _is_test(earlier: Sequence[Event]) -> bool:
    return any(isinstance(event, PaymentOrdered) and event.test for event in earlier)


def _same(paid: PaymentSucceeded, refunded: PaymentRefunded) -> bool:
    return paid.provider_payment == refunded.provider_payment


def evolve(row: Day | None, recorded: Recorded, counted: Counted) -> Day:
    """The day's row with one thing more."""
    if row is None:
        row = Day(day_name(recorded.recorded_at_us))
    position = recorded.position
    match counted:
        case CreditsCharged():
            return replace(row, position=position, charged=row.charged + counted.amount)
        case JobQueued():
            first = counted.number == 1 and not counted.requeue_of
            return replace(row, position=position, jobs=row.jobs + 1, orders=row.orders + first)
        case JobSucceeded():
            return replace(row, position=position, videos=row.videos + 1)
        case Made():
            return replace(row, position=position, made=_with_made(row.made, counted))
        case JobFailed():
            return replace(row, position=position, failures=row.failures + 1)
        case VideoGifted():
            return replace(row, position=position, gifts=row.gifts + 1)
        case CreditsGranted(amount=amount):
            sold = row.sold + (amount if counted.kind == "purchase" else 0)
            return replace(row, position=position, granted=row.granted + amount, sold=sold)
        case CreditsRefunded():
            return replace(row, position=position, refunded=row.refunded + counted.amount)
        case CreditsRevoked():
            return replace(row, position=position, revoked=row.revoked + counted.amount)
        case CreditsRestored():
            return replace(row, position=position, revoked=row.revoked - counted.amount)
        case CreditsExpired():
            return replace(row, position=position, expired=row.expired + counted.amount)
        case AccountOpened():
            return replace(row, position=position, registrations=row.registrations + 1)
        case Money():
            return replace(row, position=position, money=_with_money(row.money, counted))
        case _:
            return replace(row, position=position)


def _with_made(all_made: tuple[Made, ...], more: Made) -> tuple[Made, ...]:
    by_model = {made.model: made for made in all_made}
    videos = by_model.get(more.model, Made(more.model)).videos + more.videos
    return tuple(sorted((by_model | {more.model: Made(more.model, videos)}).values(), key=lambda m: m.model))


def _with_money(all_money: tuple[Money, ...], more: Money) -> tuple[Money, ...]:
    def kind(money: Money) -> tuple[str, bool]:
        return money.currency, money.test

    by_kind = {kind(money): money for money in all_money}
    before = by_kind.get(kind(more), Money(*kind(more)))
    received_minor = before.received_minor + more.received_minor
    returned_minor = before.returned_minor + more.returned_minor
    after = Money(*kind(more), received_minor, returned_minor)
    return tuple(sorted((by_kind | {kind(more): after}).values(), key=kind))


_FROM_EARLIER = (JobSucceeded, VideoGifted, PaymentSucceeded, PaymentRefunded)

DAILY = ManyRows(
    "daily",
    Day,
    evolve,
    names_of(
        AccountOpened, CreditsGranted, CreditsCharged, CreditsRefunded, CreditsRevoked, CreditsRestored,
        CreditsExpired, JobQueued, JobFailed, *_FROM_EARLIER,
    ),
    spread,
    depends=lambda _, event: isinstance(event, _FROM_EARLIER),
    recalls=names_of(JobQueued, SubmissionIntended, PaymentOrdered, PaymentSucceeded),
    json_columns=("money", "made"),
)  # fmt: skip
