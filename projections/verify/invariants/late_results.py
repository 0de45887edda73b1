"""Events of jobs that are over: judged with the job's whole history beside them. Pure.

A job is forgotten when it is over; a video that came too late, or a second end, is met without it.
"""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from events.stream_names import ACCOUNT, JOB
from projections.verify.event_fields import DECODE, MOVES, OUTCOMES, Row
from projections.verify.findings import Findings
from projections.verify.invariants.jobs import FACTS, Jobs


def move(jobs: Jobs, row: Row) -> None:
    """One of the types in MOVES, of a job that is known."""
    at, stream, _, name, _, _, data = row
    if name == "JobQueued":
        try:
            jobs.queued(at, stream, DECODE[name](data or ""))
        except (msgspec.DecodeError, UnicodeError) as error:
            jobs.findings.add("unreadable", at, f"{name} at position {at} cannot be read: {error}")
            jobs.by_stream[stream].queued_at = at
    elif name == "VideoGifted":
        jobs.gifted(at, stream)
    else:
        jobs.ended(at, stream, OUTCOMES[name])


def requeued(jobs: Jobs, row: Row) -> None:
    """A failed job is to be made again."""
    with suppress(msgspec.DecodeError, UnicodeError):  # other walks report what cannot be read
        jobs.requeued(DECODE["JobRequeued"](row[6] or ""))


def free_queued(jobs: Jobs, row: Row, *, judged: bool = False) -> bool:
    """Whether this is a job without a charge, which makes a failed one again; it is known from then on."""
    with suppress(msgspec.DecodeError, UnicodeError):
        return jobs.given(row[0], row[1], DECODE["JobQueued"](row[6] or ""), judged=judged)
    return False


def job_stream_of(row: Row) -> str:
    """The stream of the job that a late row is about."""
    _, stream, _, name, _, _, data = row
    return f"{JOB}{DECODE[name](data or '').job}" if stream.startswith(ACCOUNT) else str(stream)


def judge(findings: Findings, row: Row, history: Sequence[Row]) -> int:
    """What is wrong with `row`, told from its job's rows up to it; what it changes in the credits spent.

    `history` holds the rows of the job's stream, its charges and refunds, in order, with data.
    """
    jobs = Jobs(Findings(), keep=True)
    stream, version = job_stream_of(row), 0
    for earlier in history:
        if earlier[0] < row[0]:
            version += earlier[1] == stream
            _replay(jobs, earlier)
    spent, jobs.findings = jobs.spent, findings
    if row[1] == stream and row[2] != version + 1:
        findings.add("stream", row[0], f"{stream} has version {row[2]} where {version + 1} should be")
    job = jobs.by_stream.get(stream)
    if job is None and row[1] != stream:
        findings.add("outcome", row[0], f"{stream} was refunded and never charged")
    elif job is None:
        if row[3] in MOVES:
            findings.add("charge", row[0], f"{row[3]} at position {row[0]}: {stream} was never charged")
    elif job.over and row[1] == stream and row[3] not in FACTS and row[3] not in OUTCOMES:
        findings.add(
            "outcome", row[0], f"{row[3]} at position {row[0]} comes after {stream} had {job.outcome}"
        )
    _replay(jobs, row)
    return jobs.spent - spent


def load_jobs(jobs: Jobs, histories: dict[str, list[Row]]) -> None:
    """Make those jobs known that are not over; `histories` are as `judge` takes them, by stream."""
    for stream, history in histories.items():
        past = Jobs(Findings(), keep=True)
        for row in history:
            _replay(past, row)
        job = past.by_stream.get(stream)
        if job is not None and not job.over:
            job.version = sum(row[1] == stream for row in history)
            jobs.by_stream[stream] = job


def _replay(jobs: Jobs, row: Row) -> None:
    at, stream, _, name, _, _, data = row
    if not stream.startswith(ACCOUNT):
        if name in MOVES and stream in jobs.by_stream:
            move(jobs, row)
        elif name == "JobQueued":
            free_queued(jobs, row, judged=True)
        return
    with suppress(msgspec.DecodeError, UnicodeError):  # reported where the walk met it
        event = DECODE[name](data or "")
        owner = stream[len(ACCOUNT) :]
        if name == "CreditsCharged":
            jobs.charged(at, owner, event.job, event.order, event.amount, event.parts)
        elif JOB + event.job in jobs.by_stream:
            jobs.refunded(at, owner, event.job, event.amount)
