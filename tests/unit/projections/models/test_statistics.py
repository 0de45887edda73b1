"""Counts, times and lots: they agree with what is folded elsewhere, whatever the pages are."""

from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from events.account import CreditsRevoked
from events.codec import Event, decode
from events.envelope import Recorded
from events.errors import UnknownEventTypeError
from events.job import (
    Failure,
    JobFailed,
    JobStarted,
    JobSucceeded,
    PromptWritten,
    RetryScheduled,
    SubmissionAccepted,
    SubmissionFailed,
    SubmissionIntended,
    VideoGifted,
)
from events.payment import PaymentFlagged, PaymentOrdered, PaymentRefunded, PaymentSucceeded
from projections.engine.projection import ManyRows
from projections.models.balances import BALANCES
from projections.models.job_status import JOB_STATUS
from projections.models.job_times import JOB_TIMES
from projections.models.lots import LOTS
from projections.models.payments import PAYMENTS
from projections.models.statistics import DAILY, ERROR_STATS, HOUR_US, ErrorStats, Made, Money
from tests.support.each import each
from tests.support.event_samples import (
    ACCOUNT,
    TIMED_OUT,
    VIDEO,
    account_with,
    drawn,
    failed,
    ordered,
    queued,
)
from tests.support.fake_clock_ledger import random_ledger
from tests.support.history import History, rehashed
from tests.support.payment_samples import ORDERED, SUCCEEDED

JOB, PAYMENT = "job-j", "payment-p"
BUSY = Failure("transient", "500", 1, ref="busy")
MADE = (
    queued(), JobStarted(1, "w"), PromptWritten(1, "p", "openai", "t"),
    SubmissionIntended(1, 1, "k", "first"), SubmissionFailed(1, 1, BUSY), RetryScheduled(1, 9),
    SubmissionIntended(1, 2, "k", "second"), SubmissionAccepted(2, "task"), JobSucceeded(1, 2, VIDEO),
)  # fmt: skip


def history_of(stream: str, *events: Event) -> list[Recorded]:
    history = History()
    for event in events:
        history.record((stream, event))
    return history.events


def in_pages(projection: ManyRows[Any], events: list[Recorded], size: int) -> dict[str, object]:
    """Folded page by page, looking up what a page lacks in what came before it."""
    rows: dict[str, object] = {}
    for begin in range(0, len(events), size):
        reads = projection.read(events[begin : begin + size])
        lacking = projection.needed_earlier(reads)
        earlier: dict[str, list[Event]] = {}
        for e in events[:begin]:
            if e.version < lacking.get(e.stream, 0) and e.type in projection.recalls:
                earlier.setdefault(e.stream, []).append(decode(e))
        projection.fold(rows, projection.changes(reads, earlier))
    return rows


@each("projection", [LOTS, ERROR_STATS, DAILY])
def test_pages_of_any_size_make_the_same_rows(projection: ManyRows[Any]) -> None:
    history = History()
    for event in MADE:
        history.record((JOB, event))
    account_with(history, 9)
    ordered(history, "k", price=2)
    failed(history, "k", price=2)
    history.record((ACCOUNT, CreditsRevoked(3, "r", parts=drawn(3))))
    paid = (ORDERED, SUCCEEDED, PaymentRefunded("yk-1", "yr", 100, "RUB", 0))
    for payment_event in paid:
        history.record((PAYMENT, payment_event))
    whole = projection.fold_all(history.events)
    assert whole
    for size in (1, 2, 3, 7):
        assert in_pages(projection, history.events, size) == whole


@each("seed", range(3))
def test_lots_are_those_of_the_balances(seed: int) -> None:
    events = random_ledger(seed).events
    lots, balances = LOTS.fold_all(events).values(), BALANCES.fold_all(events)
    assert len(lots) > 10
    for lot in lots:
        moved = lot.granted - lot.settled - lot.spent + lot.refunded - lot.revoked - lot.expired
        assert lot.amount_left == moved >= 0
    for account, row in balances.items():
        own = [lot for lot in lots if lot.account == account]
        alive = {(lot.lot, lot.amount_left, lot.kind, lot.expires_at_us) for lot in own if lot.amount_left}
        assert alive == {(lot.number, lot.amount, lot.kind, lot.expires_at_us) for lot in row.lots}
        assert [sum(getattr(lot, name) for lot in own) for name in ("granted", "spent", "expired")] == [
            row.granted, row.charged, row.expired,
        ]  # fmt: skip


@each("seed", range(3))
def test_days_add_up_to_what_is_folded_elsewhere(seed: int) -> None:
    events = random_ledger(seed).events
    days = DAILY.fold_all(events)
    assert len(days) > 5 and list(days) == sorted(days)
    balances, jobs = BALANCES.fold_all(events).values(), JOB_STATUS.fold_all(events).values()
    for name in ("granted", "charged", "refunded", "revoked", "expired"):
        assert sum(getattr(day, name) for day in days.values()) == sum(getattr(b, name) for b in balances)
    states = Counter(job.state for job in jobs)
    assert sum(day.videos for day in days.values()) == states["succeeded"]
    assert sum(day.failures for day in days.values()) == states["failed"]
    assert sum(day.jobs for day in days.values()) == len(jobs)
    assert sum(day.orders for day in days.values()) == len({job.order_id for job in jobs})
    assert sum(made.videos for day in days.values() for made in day.made) == states["succeeded"]
    credited = [r for p in PAYMENTS.fold_all(events).values() for r in p.received if r.credits]
    money = [m for day in days.values() for m in day.money]
    assert sum(m.received_minor for m in money) == sum(r.amount_minor for r in credited)
    assert sum(m.returned_minor for m in money) == sum(r.refunded_minor for r in credited)


def test_test_money_and_flagged_money_are_no_revenue() -> None:
    stars = PaymentSucceeded("stars", "s-1", 300, "XTR", 5, 1)
    flagged = PaymentFlagged("yk-9", "amount", 1, "RUB")
    back = PaymentRefunded("yk-9", "yr", 1, "RUB", 0)
    events = history_of(PAYMENT, ORDERED, flagged, back, SUCCEEDED, stars)
    (day,) = DAILY.fold_all(events).values()
    assert day.money == (Money("RUB", False, 39_000, 0), Money("XTR", False, 300, 0))
    (day,) = DAILY.fold_all(history_of(PAYMENT, replace(ORDERED, test=True), SUCCEEDED)).values()
    assert day.money == (Money("RUB", True, 39_000, 0),)


def test_what_the_provider_made_counts_for_its_model_and_a_job_made_again_is_no_order() -> None:
    history = History()
    for event in (*MADE[:-1], JobFailed("monitor", TIMED_OUT), VideoGifted(2, VIDEO)):
        history.record((JOB, event))
    history.record(("job-again", replace(queued(price=0), requeue_of="j")))
    (day,) = DAILY.fold_all(history.events).values()
    assert day.made == (Made("second", 1),)
    assert (day.orders, day.jobs, day.videos, day.failures, day.gifts) == (1, 2, 0, 1, 1)


def test_errors_count_for_the_model_that_made_them() -> None:
    history = History()
    history.now_us = HOUR_US - 6_000_000  # the retry is in the next hour
    last = Failure("transient", "501", 2, ref="still-busy")
    for event in (*MADE[:-1], SubmissionFailed(1, 2, last), JobFailed("worker", last)):
        history.record((JOB, event))
    history.record(("job-k", queued()))
    history.record(("job-k", JobFailed("monitor", TIMED_OUT)))
    rows = ERROR_STATS.fold_all(history.events)
    hour = "1970-01-01T01"
    assert rows["1970-01-01T00 first transient"] == ErrorStats(
        "1970-01-01T00 first transient", 0, "first", "transient", 1, 0, "500", "busy", HOUR_US - 1_000_000, 5
    )
    assert rows[f"{hour} second transient"] == ErrorStats(
        f"{hour} second transient", HOUR_US, "second", "transient", 1, 1, "501", "still-busy",
        HOUR_US + 4_000_000, 10, refunded=1,
    )  # fmt: skip
    assert rows[f"{hour} seedance timeout"].jobs_failed == 1 and len(rows) == 3


def test_time_is_counted_in_the_state_it_was_spent_in() -> None:
    history = History()
    for event in MADE:
        history.now_us += 2_000_000  # and a second more for each command
        history.record((JOB, event))
    row = JOB_TIMES.fold_all(history.events)["j"]
    seconds = [getattr(row, f"{name}_us") // 1_000_000 for name in STATES]
    assert seconds == [3, 3, 12, 3, 3]  # submitting: before and after the retry
    assert (row.made_us, row.model, row.outcome) == (3_000_000, "second", "succeeded")
    assert sum(seconds) * 1_000_000 == (row.ended_at_us or 0) - row.queued_at_us


STATES = ("queued", "writing", "submitting", "rendering", "retrying")


def test_a_video_of_an_earlier_submission_tells_nothing_of_how_long_one_takes() -> None:
    late = (*MADE[:-2], SubmissionAccepted(1, "old"), JobSucceeded(1, 1, VIDEO))
    row = JOB_TIMES.fold_all(history_of(JOB, *late))["j"]
    assert (row.made_us, row.rendering_us, row.outcome) == (None, 0, "succeeded")


@each("seed", range(2))
def test_states_are_those_of_job_status(seed: int) -> None:
    events = random_ledger(seed, 60).events
    for end in range(1, len(events), 5):
        times, statuses = JOB_TIMES.fold_all(events[:end]), JOB_STATUS.fold_all(events[:end])
        assert {k: (v.state, v.ended_at_us) for k, v in times.items()} == {
            k: (v.state, v.ended_at_us) for k, v in statuses.items()
        }


@each("end", range(1, len(MADE) + 1))
def test_every_state_is_that_of_job_status(end: int) -> None:
    events = history_of(JOB, *MADE[:end])
    assert JOB_TIMES.fold_all(events)["j"].state == JOB_STATUS.fold_all(events)["j"].state


def test_an_unknown_type_stops_what_is_not_concerned_too() -> None:
    (recorded,) = history_of(
        PAYMENT, PaymentOrdered("a", "stars", "p", 1, 1, "XTR", "", False, None, "", "ru")
    )
    (unknown,) = rehashed([replace(recorded, type="CreditsTeleported")])
    with pytest.raises(UnknownEventTypeError):
        ERROR_STATS.read([unknown])
