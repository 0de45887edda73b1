"""When a lost attempt is over: its caller must hear no before the log's time comes to it again."""

import asyncio

from ledger import commands as c
from ledger.log.batch import Pending
from ledger.log.batch_writer import DECISION_AGE_US_MAX, _may_still_pass

DAY_US = 86_400_000_000


def test_an_attempt_from_before_the_time_was_taken_back_is_over():
    decided_us = 1_795_000_000_000_000
    until_us = decided_us + DECISION_AGE_US_MAX
    loop = asyncio.new_event_loop()
    lost = Pending(c.ExpireCredits("a"), "k", b"", ("account-a",), loop.create_future(), until_us)
    loop.close()
    judged = {off_us: _may_still_pass(lost, until_us + off_us) for off_us in (-DAY_US, -60_000_000, 0, 1)}
    assert judged == {-DAY_US: False, -60_000_000: True, 0: True, 1: False}
    assert not _may_still_pass(lost, None)
