"""Statistics: what went wrong, by hour, model and class of error, and what each day came to.

Hours and days are UTC's and follow from an event alone, so that no setting can change a state root.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, get_args

import msgspec
from msgspec.structs import replace

from events import account, job, payment
from events.codec import Event
from events.envelope import Recorded
from projections.engine.projection import ManyRows, names_of

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def hour_of(time_us: int) -> int:
    return time_us - time_us % HOUR_US


def hour_name(time_us: int) -> str:
    return _name(time_us // HOUR_US)


def day_name(time_us: int) -> str:
    return _name(time_us // DAY_US * 24)[:10]


@lru_cache(maxsize=1024)
def _name(hour: int) -> str:
    return (_EPOCH + timedelta(hours=hour)).isoformat()[:13]


class ErrorStats(msgspec.Struct, frozen=True, gc=False):
    """One class of errors of one model in one hour; `bucket` names the three.

    `submissions_failed` counts failed calls to the provider, `jobs_failed` failed jobs: a job whose last
    submission failed counts in both. `code` and `ref` (of the outside's sentence) are the newest failure's,
    at `last_at_us` (epoch microseconds). A job that failed before it was submitted counts for the model it
    was ordered from. `refunded` are the credits that went back for the failed jobs.
    """

    bucket: str
    hour_at_us: int
    model: str
    error_class: str
    submissions_failed: int = 0
    jobs_failed: int = 0
    code: str = ""
    ref: str = ""
    last_at_us: int = 0
    position: int = 0
    refunded: int = 0


class Failed(msgspec.Struct, frozen=True, gc=False):
    model: str
    failure: job.Failure
    ended: bool
    refunded: int = 0


def spread_failure(
    recorded: Recorded, event: Event, earlier: Sequence[Event]
) -> Iterable[tuple[str, Failed]]:
    """The one bucket that a failure counts in."""
    match event:
        case job.SubmissionFailed():
            failed = Failed(model_of(earlier, event.submission), event.failure, False)
        case job.JobFailed():
            price = sum(e.price for e in earlier if isinstance(e, job.JobQueued))
            failed = Failed(model_of(earlier, event.failure.attempt), event.failure, True, price)
        case _:
            return
    hour = hour_name(recorded.recorded_at_us)
    yield f"{hour} {failed.model} {failed.failure.error_class}", failed


def evolve_bucket(row: ErrorStats | None, recorded: Recorded, failed: Failed) -> ErrorStats:
    """The bucket's row with one failure more."""
    failure, at_us = failed.failure, recorded.recorded_at_us
    if row is None:
        bucket = f"{hour_name(at_us)} {failed.model} {failure.error_class}"
        row = ErrorStats(bucket, hour_of(at_us), failed.model, failure.error_class)
    return replace(
        row,
        submissions_failed=row.submissions_failed + (not failed.ended),
        jobs_failed=row.jobs_failed + failed.ended,
        code=failure.code,
        ref=failure.ref,
        last_at_us=at_us,
        position=recorded.position,
        refunded=row.refunded + failed.refunded,
    )


def model_of(earlier: Sequence[Event], submission: int) -> str:
    """Model of a submission; of the order for 0 or an unknown one."""
    ordered = ""
    for event in earlier:
        if isinstance(event, job.SubmissionIntended) and event.submission == submission:
            return event.model
        if isinstance(event, job.JobQueued):
            ordered = event.model
    return ordered


_FAILURES = (job.SubmissionFailed, job.JobFailed)

ERROR_STATS = ManyRows(
    "error_stats",
    ErrorStats,
    evolve_bucket,
    names_of(*_FAILURES),
    spread_failure,
    depends=lambda _, event: isinstance(event, _FAILURES),
    recalls=names_of(job.JobQueued, job.SubmissionIntended),
    indexes=("(hour_at_us)",),
    fillfactor=50,
)


class Money(msgspec.Struct, frozen=True, gc=False):
    """Money in and out in one currency's smallest unit; `test`: none real."""

    currency: str
    test: bool = False
    received_minor: int = 0
    returned_minor: int = 0


class Charged(msgspec.Struct, frozen=True, gc=False):
    """What the provider charged for a task, as in SubmissionFailed."""

    milli: int | None
    video: bool


class Made(msgspec.Struct, frozen=True, gc=False):
    """Videos made by one model, gifts included: what the provider charges for."""

    model: str
    videos: int = 0


class Day(msgspec.Struct, frozen=True, gc=False):
    """One day, in UTC.

    Counts are of the day it happened: a job ordered before midnight may end after it. `orders` are sellers',
    `jobs` the videos asked for, requeued ones included. A job ends in `videos` or `failures`; `gifts` came
    after a failure. Credits are whole: `granted` all that came in, of which `sold` for money; charged,
    refunded, revoked (less restored), expired. `money` is of credited payments; flagged money is none until
    settled. `cost_milli` is what the provider said that it charged, in thousandths of its credits; it has not
    said so of `untold` videos.
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
    cost_milli: int = 0
    untold: int = 0


Counted = Event | Made | Money | Charged


def spread_day(recorded: Recorded, event: Event, earlier: Sequence[Event]) -> Iterable[tuple[str, Counted]]:
    """What an event adds to its day."""
    day = day_name(recorded.recorded_at_us)
    yield day, event
    match event:
        case job.JobSucceeded() | job.VideoGifted():
            yield day, Made(model_of(earlier, event.submission), 1)
            yield day, Charged(event.charged_milli, video=True)
        case job.SubmissionFailed():
            yield day, Charged(event.charged_milli, video=False)
        case payment.PaymentSucceeded():
            yield day, Money(event.currency, _is_test(earlier), received_minor=event.amount_minor)
        case payment.PaymentRefunded():
            if any(isinstance(e, payment.PaymentSucceeded) and _same(e, event) for e in earlier):
                yield day, Money(event.currency, _is_test(earlier), returned_minor=event.amount_minor)
        case _:
            pass


def _is_test(earlier: Sequence[Event]) -> bool:
    return any(isinstance(event, payment.PaymentOrdered) and event.test for event in earlier)


def _same(paid: payment.PaymentSucceeded, refunded: payment.PaymentRefunded) -> bool:
    return paid.provider_payment == refunded.provider_payment


def evolve_day(row: Day | None, recorded: Recorded, counted: Counted) -> Day:
    """The day's row with one thing more."""
    if row is None:
        row = Day(day_name(recorded.recorded_at_us))
    position = recorded.position
    match counted:
        case account.CreditsCharged():
            return replace(row, position=position, charged=row.charged + counted.amount)
        case job.JobQueued():
            first = counted.number == 1 and not counted.requeue_of
            return replace(row, position=position, jobs=row.jobs + 1, orders=row.orders + first)
        case job.JobSucceeded():
            return replace(row, position=position, videos=row.videos + 1)
        case Made():
            return replace(row, position=position, made=_with_made(row.made, counted))
        case Charged():
            untold = row.untold + (counted.video and counted.milli is None)
            return replace(row, cost_milli=row.cost_milli + (counted.milli or 0), untold=untold)
        case job.JobFailed():
            return replace(row, position=position, failures=row.failures + 1)
        case job.VideoGifted():
            return replace(row, position=position, gifts=row.gifts + 1)
        case account.CreditsGranted(amount=amount):
            sold = row.sold + (amount if counted.kind == "purchase" else 0)
            return replace(row, position=position, granted=row.granted + amount, sold=sold)
        case account.CreditsRefunded():
            return replace(row, position=position, refunded=row.refunded + counted.amount)
        case account.CreditsRevoked():
            return replace(row, position=position, revoked=row.revoked + counted.amount)
        case account.CreditsRestored():
            return replace(row, position=position, revoked=row.revoked - counted.amount)
        case account.CreditsExpired():
            return replace(row, position=position, expired=row.expired + counted.amount)
        case account.AccountOpened():
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


_FROM_EARLIER = (job.JobSucceeded, job.VideoGifted, payment.PaymentSucceeded, payment.PaymentRefunded)

DAILY = ManyRows(
    "daily",
    Day,
    evolve_day,
    names_of(
        account.AccountOpened,
        *get_args(account.CreditEvent),
        job.JobQueued,
        job.JobFailed,
        job.SubmissionFailed,
        *_FROM_EARLIER,
    ),
    spread_day,
    depends=lambda _, event: isinstance(event, _FROM_EARLIER),
    recalls=names_of(job.JobQueued, job.SubmissionIntended, payment.PaymentOrdered, payment.PaymentSucceeded),
    json_columns=("money", "made"),
    fillfactor=50,
)
