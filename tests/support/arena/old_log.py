"""A log with thousands of results that were told long ago, as if the system had run for a year."""

import time
from typing import TYPE_CHECKING, Final

import asyncpg

from ledger import commands as c
from tests.support.arena.sellers import CHATS, Seller
from tests.support.fake_clock_ledger import FakeClockLedger, store

if TYPE_CHECKING:
    from tests.support.arena.arena import Arena

OLD_JOBS: Final = 10_000
_ORDER: Final = 50
_AGO_US: Final = 12 * 3600 * 1_000_000
"""It begins so long ago and ends nine hours later: of a log that is older than a day a clock may be wrong."""

_LEFT: Final = 7
"""Credits that the old seller has still."""

_TOLD = """
WITH ended AS (
    SELECT substr(stream, 5) AS job, position, type, data::jsonb -> 'video' AS video
    FROM events WHERE type IN ('JobSucceeded', 'JobFailed')
), queued AS (
    SELECT substr(stream, 5) AS job, data::jsonb AS data FROM events WHERE type = 'JobQueued'
), lines AS (
    INSERT INTO order_jobs (job, order_id, account, number, of_jobs, price, locale, state)
    SELECT job, data->>'order', data->>'account', (data->>'number')::bigint, (data->>'of')::bigint, 1, 'en',
           CASE type WHEN 'JobSucceeded' THEN 'done' ELSE 'failed' END
    FROM queued JOIN ended USING (job)
), statuses AS (
    INSERT INTO status_messages (subject, name, account, wanted, shown)
    SELECT DISTINCT 'order', data->>'order', data->>'account', 1, 1 FROM queued
)
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, state, message_id,
                        attempts, settled_at, refunded, blob, size_bytes)
SELECT job, CASE type WHEN 'JobSucceeded' THEN 'video' ELSE 'failure' END, position, data->>'account',
       data->>'order', (data->>'number')::bigint, (data->>'of')::bigint, 'en', 'sent', position, 1, now(),
       CASE type WHEN 'JobFailed' THEN (data->>'price')::bigint ELSE 0 END, coalesce(video->>'blob', ''),
       coalesce((video->>'size_bytes')::bigint, 0)
FROM queued JOIN ended USING (job)
"""
_MOVED = """
UPDATE cursors SET (position, hash) = (SELECT position, hash FROM events ORDER BY position DESC LIMIT 1)
WHERE name = 'notifier'
"""


async def old_results(arena: "Arena") -> Seller:
    """Fill the empty log: half of the jobs made, half refunded, all told to the seller returned."""
    desk, account = FakeClockLedger(), "old"
    desk.history.now_us = time.time_ns() // 1000 - _AGO_US
    desk.open(account, OLD_JOBS // 2 + _LEFT)
    desk.do(c.GrantCredits(account, _ORDER, "manual", "so that the last orders can be paid"))
    for number in range(OLD_JOBS // _ORDER):
        jobs = [f"old-{number}-{n}" for n in range(_ORDER)]
        desk.order(account, f"old-{number}", *jobs)
        for job in jobs[::2]:
            desk.fail(account, job)
        for job in jobs[1::2]:
            desk.submit(job)
            desk.succeed(job)
    url = arena.settings.require_database_url()
    await store(url, desk.events)
    seller = Seller(account, next(CHATS), _LEFT + _ORDER)
    owner = await asyncpg.connect(url)
    try:
        await owner.execute(
            "INSERT INTO accounts (account, telegram_id, locale) VALUES ($1, $2, 'en')", account, seller.chat
        )
        await owner.execute(_TOLD)
        await owner.execute(_MOVED)
    finally:
        await owner.close()
    await arena.sellers.come(seller)
    return seller
