"""The root depends on rows alone, and on every part of them."""

from msgspec.structs import replace

from projections.engine.state_root import root_of
from projections.models.balances import BALANCES, Balance
from projections.models.job_status import JOB_STATUS, JobStatus

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


def test_every_field_is_in_the_root():
    row = JobStatus("j", "a", "o", 1, 1, "m", "ugc", "p", 1, 5, 9)
    used = [replace(row, requeue_of="i"), replace(row, requeued_as="k"), replace(row, dropped=True)]
    assert len({root_of(JOB_STATUS, {"j": one}) for one in (row, *used)}) == 4
