"""What an account's row says after its events."""

import pytest
from msgspec.structs import replace

from events.account import CreditsCharged, CreditsGranted, CreditsRevoked, TermsAccepted
from events.errors import UnknownEventTypeError
from projections.engine.errors import UnfoldableEventError
from projections.models.balances import BALANCES, Balance
from tests.support.each import each
from tests.support.event_samples import ACCOUNT, account_with, drawn, failed, ordered, queued
from tests.support.history import History, rehashed


def test_every_credit_event_moves_its_own_column():
    history = History()
    account_with(history, 5)
    ordered(history, "j1", "j2", price=2)
    failed(history, "j2", price=2)
    history.record((ACCOUNT, CreditsRevoked(4, "chargeback", parts=drawn(3))))

    row = BALANCES.fold_all(history.events)["a"]

    assert row == Balance(
        account="a",
        balance=-1,
        granted=5,
        charged=4,
        refunded=2,
        revoked=4,
        charges=2,
        refunds=1,
        terms="1",
        opened_at_us=2_000_000,
        updated_at_us=6_000_000,
        position=10,
        debt=1,
        lots_made=1,
    )
    assert row.balance == row.granted - row.charged + row.refunded - row.revoked


def test_accounts_do_not_touch_each_other():
    history = History()
    account_with(history, 5)
    account_with(history, 7, "b")
    ordered(history, "j1", account="b")

    rows = BALANCES.fold_all(history.events)

    assert {name: row.balance for name, row in rows.items()} == {"a": 5, "b": 6}


def test_folding_in_two_parts_is_folding_at_once():
    history = History()
    account_with(history, 5)
    ordered(history, "j1")
    failed(history, "j1")
    whole = BALANCES.fold_all(history.events)
    for cut in range(len(history.events)):
        rows = BALANCES.fold_all(history.events[:cut])
        BALANCES.fold(rows, BALANCES.changes(BALANCES.read(history.events[cut:]), {}))
        assert rows == whole


def test_the_latest_terms_count():
    history = History()
    account_with(history, 1)
    history.record((ACCOUNT, TermsAccepted("2")))
    assert BALANCES.fold_all(history.events)["a"].terms == "2"


@each("stream", ["account-a", "job-j", "payment-p"])
def test_an_unknown_type_stops_the_fold_on_any_stream(stream: str):
    history = History()
    (recorded,) = history.record((stream, CreditsGranted(1, "bonus", "x", 1)))
    (unknown,) = rehashed([replace(recorded, type="CreditsTeleported")])
    with pytest.raises(UnknownEventTypeError, match=r"CreditsTeleported.*position 1.*upgrade"):
        BALANCES.fold_all([unknown])


def test_a_job_event_in_an_account_stream_is_refused():
    history = History()
    with pytest.raises(UnfoldableEventError, match="position 1"):
        BALANCES.fold_all(history.record((ACCOUNT, queued())))


def test_a_charge_in_another_stream_is_not_this_projections():
    history = History()
    assert BALANCES.fold_all(history.record(("payment-p", CreditsCharged("j", "o", 1, ())))) == {}
