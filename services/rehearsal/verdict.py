"""The proof at the end: every credit is accounted for in the log, the read models, streams and chats."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from events.codec import decode
from events.envelope import Recorded
from events.job import SubmissionFailed, SubmissionIntended
from events.stream_names import job_of
from projections.verify.check import check_ledger
from projections.verify.findings import CHAIN_KINDS, Kind
from services.rehearsal.log_watch import Witness
from services.rehearsal.sandbox_control import TaskSeen
from services.rehearsal.scenarios import Cycle
from services.streams.compare import check_streams

_QUIET_TIMEOUT_S = 20.0
LEDGER_CHECKS: dict[str, tuple[Kind, ...]] = {
    "one charge, one outcome": ("charge", "outcome", "open_jobs"),
    "books sum to zero, nothing overdrawn": ("books", "overdraft", "lots"),
    "gifts once each, from what gives them": ("gift",),
    "credits are what was paid": ("payment",),
    "the chain holds": (*CHAIN_KINDS, "stream", "command", "clock", "unreadable", "guard"),
    "read models are what the log says": ("projection", "cursor", "snapshot", "checkpoint"),
}


class Check(msgspec.Struct, frozen=True):
    """One promise and what was found against it; empty `problems`: it was kept."""

    name: str
    problems: list[str]


async def check_all(
    witness: Witness, cycles: Sequence[Cycle], tasks: Sequence[TaskSeen], rest: list[str]
) -> list[Check]:
    """Every check, also when an earlier one found something. `rest` is what `settle` has found."""
    unexpected = [f"cycle {c.number}: {problem}" for c in cycles for problem in c.problems]
    events = [event async for event in witness.log.scan()]
    found: dict[str, list[str]] = defaultdict(list)
    for problem in await check_ledger(witness.pool):
        at = "" if problem.position is None else f" (position {problem.position})"
        found[problem.kind].append(problem.message + at)
    report = await check_streams(witness.redis, witness.pool)
    behind = [f"{report.behind} events are not published"] if report.behind else []
    return [
        Check("everything came to rest", rest),
        Check("each cycle ended as it should", unexpected),
        *(Check(name, [p for kind in kinds for p in found[kind]]) for name, kinds in LEDGER_CHECKS.items()),
        Check("log, projection and chat agree on balances", await _balances(witness, cycles)),
        Check("no second submission without a failed first", submissions(events, tasks)),
        Check("one final message per job", messages(cycles, events)),
        Check("streams and log agree", [*behind, *(problem.message for problem in report.problems)]),
    ]


async def settle(witness: Witness) -> list[str]:
    """Wait until no job is open and every reader is at the head; what is not so after a while."""
    deadline = time.monotonic() + _QUIET_TIMEOUT_S
    while waiting := await unsettled(witness):
        if time.monotonic() > deadline:
            return waiting
        await asyncio.sleep(0.1)
    return []


async def unsettled(witness: Witness) -> list[str]:
    """What is open, owed or behind at this moment."""
    head = (await witness.log.head()).position
    waiting = [f"job {job.job} is still open" for job in await witness.log.open_jobs()]
    for row in await witness.pool.fetch("SELECT name, position FROM cursors WHERE active"):
        if row["position"] != head:
            waiting.append(f"{row['name']} is at {row['position']} of {head}")
    owed = await witness.pool.fetchval(
        "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"
    )
    if owed:
        waiting.append(f"{owed} messages are owed")
    if report := (await check_streams(witness.redis, witness.pool)).behind:
        waiting.append(f"the streams are {report} events behind")
    return waiting


def submissions(events: Iterable[Recorded], tasks: Sequence[TaskSeen]) -> list[str]:
    """The provider made one task per announced submission at most, and a second only after a failure."""
    intended: dict[str, set[int]] = defaultdict(set)
    failed: dict[str, set[int]] = defaultdict(set)
    problems = []
    for recorded in events:
        event, job = decode(recorded), job_of(recorded.stream) or ""
        if isinstance(event, SubmissionIntended):
            if missing := set(range(1, event.submission)) - failed[job]:
                problems.append(f"job {job}: submission {event.submission} while {sorted(missing)} is open")
            intended[job].add(event.submission)
        elif isinstance(event, SubmissionFailed):
            failed[job].add(event.submission)
    for (job, submission), count in Counter((task.job, task.submission) for task in tasks).items():
        if count > 1:
            problems.append(f"job {job}: the provider made {count} tasks of submission {submission}")
        if submission not in intended[job]:
            problems.append(f"job {job}: submission {submission} reached the provider unannounced")
    return problems


async def _balances(witness: Witness, cycles: Sequence[Cycle]) -> list[str]:
    problems = []
    for cycle in cycles:
        account = await witness.account_of(cycle.user_id)
        found: dict[str, Any] = {
            "log": await witness.balance_of(cycle.user_id),
            "projection": await witness.projected_balance(account) if account else None,
            "chat": cycle.after,
        }
        if len(set(found.values())) != 1:
            said = ", ".join(f"{who} {balance}" for who, balance in found.items())
            problems.append(f"cycle {cycle.number}: {said}")
    return problems


def messages(cycles: Sequence[Cycle], events: Iterable[Recorded]) -> list[str]:
    """One for each job, and one more for a gift: first there was none, then there was one after all."""
    gifted = {job_of(event.stream) for event in events if event.type == "VideoGifted"}
    problems = []
    for cycle in cycles:
        count, wanted = cycle.videos + cycle.refusals, len(cycle.jobs) + len(gifted & set(cycle.jobs))
        most = wanted * 2 if cycle.scenario.doubles else wanted
        if not wanted <= count <= most:
            problems.append(f"cycle {cycle.number}: {count} final messages for {wanted} jobs")
    return problems
