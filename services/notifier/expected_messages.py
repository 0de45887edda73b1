"""Expected messages from events: what the chats should show. Pure.

Only the events and fields that matter to a seller are read, so that an event some other part cannot read
keeps no one from hearing back.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec
import structlog
from msgspec.structs import replace

from events.envelope import Recorded
from events.stream_names import job_of

logger = structlog.get_logger()

Kind = Literal["video", "failure", "gift", "paid", "paid_again", "referral", "referred"]
LineState = Literal["queued", "writing", "rendering", "retrying", "done", "failed", "gifted"]

ENDED: frozenset[LineState] = frozenset({"done", "failed", "gifted"})


class JobLine(msgspec.Struct, frozen=True):
    job: str
    order_id: str
    account: str
    number: int
    of_jobs: int
    price: int
    locale: str
    state: LineState = "queued"


class Owed(msgspec.Struct, frozen=True):
    """A message owed to the job's account: once, by the event at `position`."""

    position: int
    kind: Kind
    line: JobLine
    error_class: str = ""
    blob: str = ""
    size_bytes: int = 0


class Changes(msgspec.Struct, frozen=True):
    """What a batch of events changes: new or moved lines, and messages owed, in order."""

    lines: dict[str, JobLine]
    owed: list[Owed]


class _Queued(msgspec.Struct):
    account: str
    order: str
    number: int = 1
    of: int = 1
    price: int = 0
    locale: str = "ru"


class _Failure(msgspec.Struct):
    error_class: str = "unclassified"


class _Failed(msgspec.Struct):
    failure: _Failure = msgspec.field(default_factory=_Failure)


class _Video(msgspec.Struct):
    blob: str
    size_bytes: int = 0


class _WithVideo(msgspec.Struct):
    video: _Video


_queued = msgspec.json.Decoder(_Queued)
_failed = msgspec.json.Decoder(_Failed)
_with_video = msgspec.json.Decoder(_WithVideo)

_MOVES: dict[str, tuple[frozenset[LineState], LineState]] = {
    # a run that takes over a job which is being rendered is no step back for the seller
    "JobStarted": (frozenset({"queued"}), "writing"),
    "SubmissionIntended": (frozenset({"queued", "writing", "retrying"}), "rendering"),
    "RetryScheduled": (frozenset({"queued", "writing", "rendering"}), "retrying"),
}


def jobs_in(events: Iterable[Recorded]) -> list[str]:
    return list(dict.fromkeys(job for event in events if (job := job_of(event.stream)) is not None))


def fold(known: Mapping[str, JobLine], events: Iterable[Recorded]) -> Changes:
    """Fold `events` into the `known` lines, and the messages they owe."""
    changes = Changes({}, [])
    for event in events:
        job = job_of(event.stream)
        if job is None:
            continue
        try:
            _fold_one(changes, changes.lines.get(job) or known.get(job), job, event)
        except msgspec.DecodeError as error:
            logger.error(
                "event_unreadable", job=job, position=event.position, type=event.type, error=str(error)
            )
    return changes


def _fold_one(changes: Changes, line: JobLine | None, job: str, event: Recorded) -> None:
    if event.type == "JobQueued":
        queued = _queued.decode(event.data)
        changes.lines[job] = JobLine(
            job, queued.order, queued.account, queued.number, queued.of, queued.price, queued.locale
        )
    elif line is None:
        logger.error("job_unknown", job=job, position=event.position, type=event.type)
    elif event.type in _MOVES:
        before, after = _MOVES[event.type]
        if line.state in before:
            changes.lines[job] = replace(line, state=after)
    else:
        _end(changes, line, event)


def _end(changes: Changes, line: JobLine, event: Recorded) -> None:
    match event.type:
        case "JobSucceeded":
            state: LineState = "done"
            kind: Kind = "video"
        case "VideoGifted":
            state, kind = "gifted", "gift"
        case "JobFailed":
            line = changes.lines[line.job] = replace(line, state="failed")
            changes.owed.append(Owed(event.position, "failure", line, error_class=class_of(event)))
            return
        case _:
            return
    line = changes.lines[line.job] = replace(line, state=state)
    video = _with_video.decode(event.data).video
    changes.owed.append(Owed(event.position, kind, line, blob=video.blob, size_bytes=video.size_bytes))


def class_of(event: Recorded) -> str:
    """The failure's class; one that cannot be read is no reason to tell the seller nothing."""
    try:
        return _failed.decode(event.data).failure.error_class
    except msgspec.DecodeError:
        return "unclassified"
