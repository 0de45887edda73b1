"""Tables that are written with the log: unfinished jobs, and what guards it."""

from typing import TYPE_CHECKING

from projections.problems import Findings
from projections.verify.sql import query
from projections.verify.walk import OpenJob

if TYPE_CHECKING:
    from projections.tables import Connection


async def check_open_jobs(
    connection: "Connection", expected: dict[str, OpenJob], after: int, findings: Findings
) -> None:
    """The table has exactly the jobs that have not ended, of those queued after a position."""
    for row in await connection.fetch(query("open_jobs"), after):
        stored = OpenJob(*row)
        job = expected.pop(stored.job, None)
        if job is None:
            message = f"job {stored.job} is listed as unfinished, but it is not"
            findings.add("open_jobs", stored.position, message)
        elif job != stored:
            message = f"unfinished job {stored.job} is listed otherwise than it was queued"
            findings.add("open_jobs", job.position, message)
    for job in expected.values():
        if job.position > after:
            message = f"job {job.job} is unfinished, and neither monitor nor relay will see it"
            findings.add("open_jobs", job.position, message)


async def check_guards(connection: "Connection", findings: Findings) -> None:
    """The trigger and the unique indexes that protect the log are there and on."""
    for what, name in await connection.fetch(query("guards")):
        findings.add(
            "guard", None, f"{what} {name} is missing or off: rows can be changed or doubled unnoticed"
        )
