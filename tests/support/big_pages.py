"""A long log for the dashboard's pages, its read models and messages, and an address of every page."""

import re
from collections.abc import Iterator

import asyncpg

from projections.engine.registry import PROJECTIONS
from projections.rebuild.run import RebuildOptions, rebuild_all
from services.dashboard.pages import ROUTES
from services.operations.runner import query
from tests.bench.big_log import BigLog, fill

JOB = "00000003000008"
"""One that failed."""
ACCOUNT, OPERATION = "00000003", "0" * 24
NAMES = {
    "jobs": JOB, "events": "40000", "people": ACCOUNT, "proposals": ACCOUNT, "operations": OPERATION,
    "models": "bytedance/seedance-2-fast", "read-models": "daily", "link": "x" * 43,
}  # fmt: skip
"""First segment of a route's path → what stands for its part; another segment needs its own here."""
STREAMS = {"/live", "/downloads/{what}"}
"""What does not end, or is made to be as long as the log."""
NOT_THERE = {"/payments/{payment}", "/audit/notes/{size}", "/events/{position}/proof"}
"""Pages of what such a log has none of."""
MORE = (
    "/events?type=JobFailed", f"/events?stream=account-{ACCOUNT}", f"/events?job={JOB}", "/events?actor=x",
    "/events?type=CreditsGranted", "/events?type=CreditsGranted&type=VideoGifted",
    "/events?actor=login:neurocards_operator", "/errors?hours=72", "/errors?hours=72&count=submissions",
    "/jobs?state=failed", "/jobs?state=open", "/jobs?class=timeout&model=x&style=y&age=older",
    f"/people/{ACCOUNT}?version=3", f"/search?q={JOB}", "/search?q=42", "/payments?state=expired",
    "/audit/actions?actor=login:op7", "/audit/exceptions?from=100", "/money?day=2026-01-01",
    "/events?type=JobFailed&counted=model=x", "/events?counted=test=false", f"/jobs?account={ACCOUNT}",
    "/jobs?before=1700000000000000:x",
)  # fmt: skip
_DELIVERIES = """
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, state)
SELECT job, CASE state WHEN 'succeeded' THEN 'video' ELSE 'failure' END, position, account, order_id, 1, 1,
       'ru', 'sent'
FROM job_status
"""


async def fill_pages(owner_url: str, events: int) -> BigLog:
    """Fill an empty, migrated database; the log's time ends now."""
    log = await fill(owner_url, events)
    await rebuild_all(owner_url, tuple(PROJECTIONS), RebuildOptions(from_log=True))
    connection = await asyncpg.connect(owner_url)
    await connection.execute(_DELIVERIES)
    asked = (OPERATION, "requeue", [JOB], "", 0, "user:" + "0" * 24, "why")
    await connection.fetchval(query("operation_request"), *asked)
    await connection.execute("ANALYZE")
    await connection.close()
    return log


def addresses() -> Iterator[str]:
    """Every route that GET reaches, and some with filters."""
    for route in ROUTES:
        if route.method == "GET" and route.path not in STREAMS | NOT_THERE:
            first = route.path.split("/")[1]
            yield re.sub(r"\{\w+(:[^}]+)?\}", lambda _, of=first: NAMES[of], route.path)  # type: ignore[misc]
    yield from MORE
