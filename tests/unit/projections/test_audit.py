"""The audit is silent on a right history and finds each way a history can be wrong."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from events.account import CreditsCharged, CreditsGranted, CreditsRefunded, CreditsRevoked
from events.envelope import Recorded
from events.job import JobFailed, JobSucceeded, VideoGifted
from projections.audit import LogAudit
from projections.problems import Findings, Problem
from tests.support.history import History, rehashed
from tests.unit.projections.samples import (
    ACCOUNT,
    TIMED_OUT,
    VIDEO,
    account_with,
    failed,
    ordered,
    queued,
)

FAILED = ("job-j", JobFailed("worker", TIMED_OUT))
SUCCEEDED = ("job-j", JobSucceeded(1, 1, VIDEO))
GIFT = ("job-j", VideoGifted(1, VIDEO))
REFUND = (ACCOUNT, CreditsRefunded("j", 1, "timeout"))


def audited(events: list[Recorded]) -> tuple[list[Problem], set[str]]:
    findings = Findings()
    audit = LogAudit(findings)
    for recorded in events:
        audit.add(recorded)
    unfinished = audit.finish()
    return findings.problems, unfinished


def history_with(*commands: tuple[Any, ...]) -> History:
    """An account with 5 credits and the job `j` of price 1, then these commands."""
    history = History()
    account_with(history, 5)
    ordered(history, "j")
    for command in commands:
        history.record(*command)
    return history


def test_a_right_history_has_no_problems_and_tells_what_is_unfinished():
    history = history_with()
    ordered(history, "k", "l", "m", order="p")
    failed(history, "k")
    history.record(("job-k", VideoGifted(1, VIDEO)))
    history.record(("job-l", JobSucceeded(1, 1, VIDEO)))
    history.record((ACCOUNT, CreditsRevoked(9, "chargeback")))  # below zero, which a revocation may

    assert audited(history.events) == ([], {"j", "m"})


@pytest.mark.parametrize(
    ("history", "kind"),
    [
        (lambda: history_with((SUCCEEDED,), (SUCCEEDED,)), "outcome"),
        (lambda: history_with((SUCCEEDED,), (FAILED, REFUND)), "outcome"),
        (lambda: history_with((FAILED,)), "outcome"),
        (lambda: history_with((FAILED, REFUND), (REFUND,)), "outcome"),
        (lambda: history_with((SUCCEEDED, REFUND)), "outcome"),
        (lambda: history_with((REFUND,)), "outcome"),
        (lambda: history_with((GIFT,)), "outcome"),
        (lambda: history_with((FAILED, REFUND), (GIFT,), (GIFT,)), "outcome"),
        (lambda: history_with((FAILED, (ACCOUNT, CreditsRefunded("j", 2, "timeout")))), "outcome"),
        (lambda: history_with((FAILED, ("account-b", CreditsRefunded("j", 1, "timeout")))), "outcome"),
        (lambda: history_with(((ACCOUNT, CreditsRefunded("x", 1, "timeout")),)), "outcome"),
        (lambda: history_with(((ACCOUNT, CreditsCharged("j", "o", 1)),)), "charge"),
        (lambda: history_with(((ACCOUNT, CreditsCharged("k", "o", 1)),)), "charge"),
        (lambda: history_with((("job-k", queued()),)), "charge"),
        (lambda: history_with((("job-j", queued()),)), "charge"),
        (
            lambda: history_with(((ACCOUNT, CreditsCharged("k", "o", 1)), ("job-k", queued(price=2)))),
            "charge",
        ),
        (
            lambda: history_with(((ACCOUNT, CreditsCharged("k", "o", 5)), ("job-k", queued(price=5)))),
            "overdraft",
        ),
    ],
)
def test_a_wrong_history_is_found(history: Callable[[], History], kind: str):
    problems, _ = audited(history().events)
    assert kind in {problem.kind for problem in problems}


def test_a_charge_after_a_revocation_below_zero_is_an_overdraft():
    history = history_with(((ACCOUNT, CreditsRevoked(9, "chargeback")),))
    ordered(history, "k")
    problems, _ = audited(history.events)
    assert [(p.kind, p.position) for p in problems] == [("overdraft", 7)]


def _edited(events: list[Recorded]) -> list[Recorded]:
    return [replace(e, data=e.data.replace("5", "6")) if e.type == "CreditsGranted" else e for e in events]


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (_edited, "sequence"),
        (lambda events: events[:1] + events[2:], "sequence"),
        (lambda events: [*events[:1], events[2], events[1], *events[3:]], "sequence"),
        (lambda events: rehashed(events[:1] + events[2:]), "stream"),
        (lambda events: rehashed(events[:-1]), "command"),
        (lambda events: rehashed([replace(e, recorded_at_us=-e.recorded_at_us) for e in events]), "command"),
        (lambda events: rehashed([*events[:3], replace(events[3], key=None), *events[4:]]), "command"),
        (lambda events: rehashed([*events[:-1], replace(events[-1], type="Unheard")]), "unreadable"),
        (lambda events: rehashed([*events[:-1], replace(events[-1], data="{}")]), "unreadable"),
    ],
)
def test_tampering_is_found(tamper: Callable[[list[Recorded]], list[Recorded]], kind: str):
    problems, _ = audited(tamper(history_with().events))
    assert kind in {problem.kind for problem in problems}


def test_the_list_of_problems_ends():
    history = History()
    for _ in range(300):
        history.record((ACCOUNT, CreditsGranted(1, "bonus", "x")))
    problems, _ = audited([replace(e, hash=bytes(32)) for e in history.events])
    assert len(problems) == 100
