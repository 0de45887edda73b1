"""Invariants of the log's time: it falls at ClockCorrected alone, and is never later than now.

What a clock that was ahead has made expire is given back, exactly, once its correction stands.
"""

import time
from datetime import timedelta

from events.stream_names import CLOCK_STREAM
from ledger.checkpoints.checkpoint import AHEAD_US_MAX, time_text
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.verify.event_fields import Row, read
from projections.verify.findings import Findings

query = load_queries("projections.verify")
ledger_query = load_queries("ledger.log")


def corrected(row: Row, before_us: int, findings: Findings) -> None:
    """Judge a ClockCorrected by the times around it."""
    at, stream, _, _, events, time_us, _ = row
    event = read(row, findings)
    if event is not None and (
        (stream, events, event.from_us, event.to_us) != (CLOCK_STREAM, 1, before_us, time_us)
        or not time_us < before_us
        or not event.from_position < at
    ):
        findings.add("clock", at, f"the correction at position {at} says otherwise than the times around it")


async def check(connection: Connection, after: int, findings: Findings) -> None:
    """Report events from the future after a position, and wrong corrections.

    Now is the database's clock or the verifying machine's, whichever is less: the one that was wrong when
    they were written may be so still. Batches whose clocks do not allow when they were decided are wrong too.
    """
    told = {
        "the database's clock": int(await connection.fetchval(ledger_query("clock"))),
        "the clock of the machine that verifies": time.time_ns() // 1000,
    }
    whose, now_us = min(told.items(), key=lambda item: item[1])
    await check_later(connection, after, None, now_us + AHEAD_US_MAX, f"now by {whose}", findings)
    for first, decided_us in await connection.fetch(query("decision_times_wrong"), after):
        message = f"the batch from position {first} on says it was decided at {time_text(decided_us)}"
        findings.add("clock", first, f"{message}, which the clocks it names do not allow")
    for at, wrong in await connection.fetch(query("wrong_corrections")):
        findings.add("clock", at, wrong)


async def check_later(
    connection: Connection, after: int, up_to: int | None, moment_us: int, words: str, findings: Findings
) -> None:
    """Report events between two positions later than a moment, which `words` name."""
    row = await connection.fetchrow(query("later_than"), after, up_to, moment_us)
    assert row is not None
    if row["events"]:
        ahead = timedelta(seconds=round((row["latest_us"] - moment_us) / 1e6))
        message = f"{row['events']} events from position {row['first']} on are later than {words}"
        findings.add("clock", row["first"], f"{message}, the latest by {ahead}")
