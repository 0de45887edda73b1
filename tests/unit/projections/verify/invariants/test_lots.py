"""The rules of lots are silent on a right history and find each way it can be wrong."""

from collections.abc import Callable

from events.account import (
    AccountForgotten,
    AccountOpened,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRevoked,
    Part,
)
from events.codec import Event
from events.job import JobFailed, JobQueued, JobSucceeded
from tests.support.each import each
from tests.support.event_samples import ACCOUNT, TIMED_OUT, VIDEO
from tests.support.history import History
from tests.unit.projections.verify.invariants.test_log import audited

EARLY, LATE, LATER = 6_000_000, 900_000_000, 901_000_000
BONUS = Part(1, 2, "bonus", EARLY)
PROMO = Part(2, 3, "promo", LATE)
BOUGHT = Part(3, 10, "purchase")
"""The three lots that `rich` has, whole; the bonus ends at 6 s, the sixth command is at 7 s."""


def rich() -> History:
    """An account with three lots, at 5 s."""
    history = History()
    history.record((ACCOUNT, AccountOpened()))
    for part in (BONUS, PROMO, BOUGHT):
        grant = CreditsGranted(part.amount, part.kind, "x", part.lot, None, part.expires_at_us)
        history.record((ACCOUNT, grant))
    return history


def some(part: Part, amount: int, ends: int | None = None) -> Part:
    return Part(part.lot, amount, part.kind, part.expires_at_us if ends is None else ends)


def charge(history: History, *parts: Part, amount: int = 0, job: str = "j") -> None:
    """An order of one job, drawn from these parts."""
    amount = amount or sum(part.amount for part in parts)
    queued = JobQueued("a", "o", 1, 1, amount, "m", "ugc", "p", "b", "ru", 99_000_000, parts)
    history.record((ACCOUNT, CreditsCharged(job, "o", amount, parts)), (f"job-{job}", queued))


def fail(
    history: History, amount: int, *parts: Part, settled: int = 0, before: tuple[Event, ...] = ()
) -> None:
    """The job `j` failed and its charge came back to these parts."""
    history.record(
        ("job-j", JobFailed("worker", TIMED_OUT)),
        *((ACCOUNT, event) for event in before),
        (ACCOUNT, CreditsRefunded("j", amount, "timeout", parts, settled)),
    )


EXPIRED = CreditsExpired(1, 2, "bonus", EARLY)


def test_lots_drawn_refunded_expired_and_owed_in_order_are_right():
    for charged_us, found in ((EARLY + 4_999_999, []), (EARLY + 5_000_000, [("lots", True)])):
        history = rich()
        history.now_us = charged_us - 1_000_000  # a decision is up to five seconds older than its stamp
        charge(history, BONUS, some(PROMO, 1))
        problems, _ = audited(history.events)
        assert [(p.kind, "after its life" in p.message) for p in problems] == found

    history = rich()
    history.record((ACCOUNT, EXPIRED))
    charge(history, PROMO, some(BOUGHT, 2))
    fail(history, 5, PROMO, some(BOUGHT, 2))
    history.record((ACCOUNT, CreditsRevoked(20, "chargeback", parts=(BOUGHT, PROMO))))  # 7 are owed
    history.record((ACCOUNT, CreditsGranted(4, "manual", "x", lot=4, settled=4)))
    history.record((ACCOUNT, CreditsGranted(9, "manual", "x", lot=5, settled=3)))
    charge(history, Part(5, 6, "manual"), job="k")
    history.record(("job-k", JobSucceeded(1, 1, VIDEO)))
    assert audited(history.events) == ([], set())


def test_a_refund_gives_a_lot_whose_life_is_over_a_new_one():
    history = rich()
    history.now_us = 4_500_000  # the charge is at 5.5 s
    charge(history, some(BONUS, 1))
    fail(history, 1, some(BONUS, 1, LATE), before=(CreditsExpired(1, 1, "bonus", EARLY),))
    assert audited(history.events) == ([], set())


def test_a_refund_may_meet_the_longer_life_another_refund_gave_the_lot():
    history = rich()
    history.now_us = 4_000_001
    charge(history, some(BONUS, 1), job="i")
    history.now_us = 4_000_002
    charge(history, some(BONUS, 1))
    history.record(
        ("job-i", JobFailed("worker", TIMED_OUT)),
        (ACCOUNT, CreditsRefunded("i", 1, "timeout", (some(BONUS, 1, LATER),))),
    )
    fail(history, 1, some(BONUS, 1, LATER))
    assert audited(history.events) == ([], set())


def wrong(*events: Event) -> Callable[[], History]:
    def make() -> History:
        history = rich()
        for event in events:
            history.record((ACCOUNT, event))
        return history

    return make


def drawn(*parts: Part, amount: int = 0) -> Callable[[], History]:
    def make() -> History:
        history = rich()
        history.now_us = EARLY + 10_000_000
        charge(history, *parts, amount=amount)
        return history

    return make


def returned(*parts: Part, settled: int = 0, amount: int = 2) -> Callable[[], History]:
    """After a charge of two promo credits."""

    def make() -> History:
        history = rich()
        history.record((ACCOUNT, EXPIRED))
        charge(history, some(PROMO, 2))
        fail(history, amount, *parts, settled=settled)
        return history

    return make


@each(
    ("history", "words"),
    [
        (drawn(some(PROMO, 2), amount=3), "do not add up to 3"),
        (drawn(BOUGHT), "before lot"),
        (drawn(Part(7, 1, "bonus")), "which held 0"),
        (drawn(Part(2, 4, "promo", LATE)), "which held 3"),
        (drawn(Part(2, 1, "bonus", LATE)), "as another kind"),
        (drawn(Part(2, 1, "promo")), "another life"),
        (drawn(BONUS), "after its life was over"),
        (wrong(CreditsGranted(1, "bonus", "x", lot=5)), "lot 5 where 4 is next"),
        (wrong(CreditsGranted(1, "bonus", "x", lot=2)), "lot 2 where 4 is next"),
        (wrong(CreditsGranted(1, "bonus", "x", lot=4, settled=1)), "of a debt of 0"),
        (wrong(CreditsRevoked(15, "x", parts=(PROMO, BOUGHT))), "while lots hold"),
        (wrong(CreditsRevoked(1, "x", parts=(PROMO,))), "more than 1"),
        (wrong(CreditsExpired(2, 3, "promo", LATE)), "before its life was over"),
        (wrong(CreditsExpired(3, 10, "purchase", EARLY)), "no end of life"),
        (wrong(CreditsExpired(1, 1, "bonus", EARLY)), "which held 2"),
        (wrong(CreditsExpired(1, 2, "promo", EARLY)), "another kind"),
        (wrong(EXPIRED, EXPIRED), "which holds nothing"),
        (returned(some(PROMO, 1)), "do not add up"),
        (returned(some(BOUGHT, 2)), "took nothing"),
        (returned(some(PROMO, 2, LATER)), "another life than it had"),
        (returned(Part(2, 2, "promo")), "no life to be spent in"),
        (returned(some(PROMO, 1), settled=1), "of a debt of 0"),
        (returned(some(PROMO, 2), some(BOUGHT, 0)), "took nothing"),
    ],
)
def test_what_is_wrong_with_lots_is_found(history: Callable[[], History], words: str):
    problems, _ = audited(history().events)
    assert any(p.kind == "lots" and words in p.message for p in problems), problems


def test_more_than_there_is_is_an_overdraft_too():
    problems, _ = audited(drawn(some(PROMO, 3), some(BOUGHT, 13))().events)
    assert {"overdraft", "lots"} <= {p.kind for p in problems}


def test_a_charge_of_someone_who_was_forgotten_is_found():
    history = rich()
    history.record((ACCOUNT, AccountForgotten("asked", "x")))
    charge(history, some(PROMO, 1))
    assert ("charge", 6) in {(p.kind, p.position) for p in audited(history.events)[0]}
