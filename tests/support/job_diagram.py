"""The state machine of a job, found by asking the decider: every command in every state it can come to.

python -m tests.support.job_diagram     # the diagram for docs/jobs.md
"""

from collections.abc import Iterator
from functools import cache
from typing import cast

from events.job import Failure, JobEvent, JobQueued, Video
from events.stream_names import account_stream, job_stream
from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.decider import State, decide
from ledger.errors import RejectedError
from ledger.jobs.state import JobState, evolve

DEADLINE_US = 1_000_000
BEFORE_US, RETRY_US, AFTER_US = 0, 500_000, DEADLINE_US
FAILURE = Failure("transient")
VIDEO = Video("videos/j.mp4", "00", 1)
QUEUED = JobQueued("a", "o", 1, 1, 0, "m", "ugc", "p", "b", "ru", DEADLINE_US, requeue_of="i")
SUBMISSIONS_MAX, RUNS_MAX = 2, 2

Edge = tuple[str, str, str]
"""From which stage, what happened (events joined by `+`), to which stage."""


def stage(state: JobState) -> str:
    """What is known of the job, whoever holds it."""
    live = state.live_submission
    if state.outcome == "succeeded":
        return "succeeded"
    if state.outcome == "failed":
        return "gifted" if state.video else "requeued" if state.requeued_as else "failed"
    if live is not None:
        return "rendering" if live.task else "unknown"
    if state.undecided is not None:
        return "refused"
    if state.prompt is not None:
        return "retrying" if state.retry_at_us is not None else "prompted"
    return "writing" if state.run else "queued"


def commands(state: JobState) -> Iterator[tuple[c.Command, int]]:
    """Everything that may be asked about the job `j`, and when."""
    run, number = state.run, max(len(state.submissions), 1)
    for now_us in (BEFORE_US, RETRY_US, AFTER_US):
        if run < RUNS_MAX:
            yield c.StartJob("j", run + 1, "w"), now_us
        yield c.RecordPrompt("j", run, "t", "openai", "ugc@1"), now_us
        if len(state.submissions) < SUBMISSIONS_MAX:
            yield c.IntendSubmission("j", run, len(state.submissions) + 1, "k", "m"), now_us
        yield c.RecordAccepted("j", number, "task"), now_us
        for retry_at_us in (None, RETRY_US):
            yield c.FailSubmission("j", "a", run, number, FAILURE, retry_at_us), now_us
        if run > 1:
            yield c.FailSubmission("j", "a", run - 1, number, FAILURE, RETRY_US), now_us
        yield c.HandBackJob("j", run), now_us
        yield c.SucceedJob("j", run, number, VIDEO), now_us
        yield c.FailJob("j", "a", "worker", FAILURE, run), now_us
        yield c.FailJob("j", "a", "monitor", FAILURE), now_us
        yield c.FailJob("j", "a", "operator", FAILURE), now_us
        if not state.reissues:
            yield c.ReissueJob("j", 1), now_us
        yield c.RequeueJob("j", "a", "k", 0, "m", 60, "mended", "login:op"), now_us
        yield c.DropDeadLetter("j", "seen", "login:op"), now_us
        yield c.RateVideo("j", "a", 5), now_us


@cache
def edges() -> tuple[Edge, ...]:
    """All that can happen, each once, in the order in which it is found from a queued job on."""
    first = evolve(JobState(), QUEUED)
    found: dict[Edge, None] = {("[*]", "JobQueued", stage(first)): None}
    seen, waiting = {first}, [first]
    while waiting:
        state = waiting.pop(0)
        for command, now_us in commands(state):
            view: dict[str, State] = {job_stream("j"): state, account_stream("a"): AccountState()}
            try:
                made = decide(view, command, now_us)
            except RejectedError:
                continue
            after = state
            for stream, event in made:
                if stream == job_stream("j"):
                    after = evolve(after, cast(JobEvent, event))
            happened = [type(event).__name__ for stream, event in made if stream == job_stream("j")]
            if happened:
                found[stage(state), " + ".join(happened), stage(after)] = None
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return tuple(found)


def diagram() -> str:
    """Mermaid. What changes nothing but who holds the job is left out; see `loops`."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {a} --> {b}: {what}" for a, what, b in edges() if a != b]
    ends = sorted({b for _, _, b in edges()} - {a for a, _, b in edges() if a != b})
    return "\n".join([*lines, *[f"    {end} --> [*]" for end in ends]])


def loops() -> str:
    """What can happen without the stage changing, as a table."""
    stages: dict[str, list[str]] = {}
    for a, what, b in edges():
        if a == b:
            stages.setdefault(what, []).append(a)
    rows = [f"| `{what}` | {', '.join(sorted(at))} |" for what, at in sorted(stages.items())]
    return "\n".join(["| happens | in |", "|---|---|", *rows])


if __name__ == "__main__":
    print(diagram(), loops(), sep="\n\n")  # noqa: T201 - this is what it is for
