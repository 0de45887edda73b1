"""Statements and as-of balances on logs in which days pass: every movement, its lots, and late expiries."""

from collections.abc import Sequence

import pytest

from events.envelope import Recorded
from events.errors import UnknownEventTypeError
from events.stream_names import account_stream
from ledger import commands as c
from ledger.payments.commands import REFUND_LIFE_S
from projections.reports.balance_as_of import Row, balance_of, fold_account
from projections.reports.log_position import LogPosition
from projections.reports.statement import BEGINNING, Statement, statement_of
from tests.support.fake_clock_ledger import DAY_US, SECOND_US, START_US, FakeClockLedger


def rows_of(events: Sequence[Recorded], account: str, until: int = 2**62) -> list[Row]:
    return [
        (e.position, e.version, e.type, e.data, e.recorded_at_us)
        for e in events
        if e.stream == account_stream(account) and e.position <= until
    ]


def at_position(events: Sequence[Recorded], position: int) -> LogPosition:
    return LogPosition(position, events[position - 1].recorded_at_us if position else 0)


def statement_at(
    desk: FakeClockLedger, start: LogPosition, end: LogPosition, account: str = "a"
) -> Statement:
    return statement_of(account, rows_of(desk.events, account, end.position), start, end)


def now(desk: FakeClockLedger) -> LogPosition:
    return LogPosition(len(desk.events), desk.now_us)


def lines(statement: Statement) -> list[tuple[str, int, int, list[tuple[int, int]], int]]:
    return [
        (
            m.type.removeprefix("Credits"),
            m.amount,
            balance,
            [(part.lot, part.amount) for part in m.lots],
            m.debt,
        )
        for m, balance in statement.movements
    ]


def busy() -> FakeClockLedger:
    """A bonus, a purchase, a short promo; charges over several lots, refunds, an expiry, a debt, its end."""
    desk = FakeClockLedger()
    desk.open("a", 2)
    desk.do(c.GrantCredits("a", 10, "purchase", "bought", "pay-1"))
    desk.do(c.GrantCredits("a", 3, "promo", "SPRING", expires_at_us=desk.now_us + DAY_US))
    desk.order("a", "o1", "j1", "j2", price=2)
    desk.fail("a", "j1")
    desk.wait(2 * 24 * 3600)
    desk.order("a", "o2", "j3", price=2)
    desk.fail("a", "j2")
    desk.do(c.RevokeCredits("a", 15, "chargeback", "pay-1", kind="payment"))
    desk.do(c.GrantCredits("a", 20, "purchase", "bought again", "pay-2"))
    return desk


def test_every_movement_with_its_lots() -> None:
    desk = busy()
    found = lines(statement_at(desk, BEGINNING, now(desk)))
    assert found == [
        ("Granted", 2, 2, [(1, 2)], 0),
        ("Granted", 10, 12, [(2, 10)], 0),
        ("Granted", 3, 15, [(3, 3)], 0),
        ("Charged", -2, 13, [(3, -2)], 0),
        ("Charged", -2, 11, [(3, -1), (1, -1)], 0),
        ("Refunded", 2, 13, [(3, 2)], 0),
        ("Expired", -2, 11, [(3, -2)], 0),
        ("Charged", -2, 9, [(1, -1), (2, -1)], 0),
        ("Refunded", 2, 11, [(3, 1), (1, 1)], 0),  # the promo was over: lot 3 has a new life
        ("Revoked", -15, -4, [(3, -1), (1, -1), (2, -9)], -4),
        ("Granted", 20, 16, [(4, 16)], 4),
    ]
    refund = statement_at(desk, BEGINNING, now(desk)).movements[8][0]
    life = next(part.expires_at_us for part in refund.lots if part.lot == 3)
    assert life == refund.at_us + REFUND_LIFE_S * SECOND_US


def test_statements_tile_and_agree_with_balances_at_every_position() -> None:
    desk = busy()
    for start in range(len(desk.events) + 1):
        for end in range(start, len(desk.events) + 1):
            begin, until = at_position(desk.events, start), at_position(desk.events, end)
            found = statement_at(desk, begin, until)
            assert found.opening == balance(desk, begin) and found.closing == balance(desk, until)
            assert found.opening + sum(m.amount for m, _ in found.movements) == found.closing
            assert all(m.amount == sum(p.amount for p in m.lots) + m.debt for m, _ in found.movements)


def balance(desk: FakeClockLedger, at: LogPosition) -> int:
    return balance_of("a", fold_account(rows_of(desk.events, "a", at.position)), at).balance


def test_an_expiry_that_is_booked_late_counts_from_when_it_was_due() -> None:
    desk = FakeClockLedger()
    desk.open("a", 2)
    due_us = desk.now_us + DAY_US
    desk.do(c.GrantCredits("a", 5, "promo", "SPRING", expires_at_us=due_us))
    before_booking = len(desk.events)
    desk.wait(3 * 24 * 3600)
    late = now(desk)
    assert balance(desk, LogPosition(before_booking, due_us - 1)) == 7
    assert balance(desk, LogPosition(before_booking, due_us)) == 2
    unbooked = statement_at(desk, BEGINNING, late)
    assert unbooked.closing == 2
    expiry, after = unbooked.movements[-1]
    assert (expiry.type, expiry.at_us, expiry.position, after) == ("CreditsExpired", due_us, None, 2)

    desk.do(c.ExpireCredits("a"))
    booked, _ = statement_at(desk, BEGINNING, now(desk)).movements[-1]
    assert (booked.at_us, booked.position) == (due_us, len(desk.events))
    assert (booked.recorded_at_us or 0) > due_us
    # What was due before a period began is not one of its movements, though it was booked within it.
    next_day = statement_at(desk, LogPosition(before_booking, due_us), now(desk))
    assert (next_day.opening, next_day.movements, next_day.closing) == (2, (), 2)
    # Between the due time and its booking, by position: the position's own time judges.
    assert balance(desk, at_position(desk.events, before_booking)) == 7


def test_an_unknown_event_is_said_and_not_skipped() -> None:
    desk = busy()
    rows = rows_of(desk.events, "a")
    rows.insert(3, (99, 99, "CreditsTeleported", "{}", START_US))
    with pytest.raises(UnknownEventTypeError, match="at position 99"):
        statement_of("a", rows, BEGINNING, now(desk))
    with pytest.raises(UnknownEventTypeError, match="at position 99"):
        fold_account(rows)


def test_an_empty_account_has_an_empty_statement() -> None:
    desk = FakeClockLedger()
    desk.open("a")
    found = statement_at(desk, BEGINNING, now(desk))
    assert (found.opening, found.movements, found.closing) == (0, (), 0)
