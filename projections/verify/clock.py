"""Events that say they were recorded later than now: the database's clock was ahead when they were written.

Now is what the database's clock says, or that of the machine that verifies, whichever is less: the one that
was wrong may be so still. The log's time never falls, so what comes after such an event has its time too.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ledger.sql import load_queries
from projections.verify.findings import Findings

if TYPE_CHECKING:
    from ledger.postgres import Connection

ledger_query = load_queries("ledger.log")
query = load_queries("projections.verify")

AHEAD_S_MAX: Final = 60
"""Clocks of two machines may differ by so much, as long as somebody looks after them."""


async def check(connection: "Connection", after: int, findings: Findings) -> None:
    """Report the first of the events after a position that are later than now."""
    told = {
        "the database's clock": int(await connection.fetchval(ledger_query("clock"))),
        "the clock of the machine that verifies": time.time_ns() // 1000,
    }
    whose, now_us = min(told.items(), key=lambda item: item[1])
    row = await connection.fetchrow(query("later_than"), after, now_us + AHEAD_S_MAX * 1_000_000)
    assert row is not None
    if row["events"]:
        ahead = timedelta(seconds=round((row["latest_us"] - now_us) / 1e6))
        message = f"{row['events']} events from position {row['first']} on are later than now by {whose}"
        findings.add("clock", row["first"], f"{message}, the latest by {ahead}")
