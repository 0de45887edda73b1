"""The root depends on rows alone, and on every part of them."""

from msgspec.structs import replace

from projections.balances import BALANCES, Balance
from projections.job_status import JOB_STATUS
from projections.root import root_of

A, B = Balance("a", 1), Balance("b", 2)


def test_the_order_in_which_rows_were_made_does_not_matter():
    assert root_of(BALANCES, {"a": A, "b": B}) == root_of(BALANCES, {"b": B, "a": A})


def test_every_field_of_every_row_matters():
    root = root_of(BALANCES, {"a": A, "b": B})
    others = {
        root_of(BALANCES, {"a": A, "b": replace(B, **{f: 77})}) for f in ("balance", "position", "revoked")
    }
    others |= {root_of(BALANCES, {"a": A}), root_of(BALANCES, {}), root_of(JOB_STATUS, {})}
    assert root not in others
    assert len(others) == 6


def test_a_row_cannot_pass_for_two():
    assert root_of(BALANCES, {"a": A}) != root_of(BALANCES, {"a": replace(A, account="a"), "": A})
