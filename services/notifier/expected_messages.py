"""Expected messages from events: what the chats should show. Pure.

Only the events and fields that matter to a seller are read, so that an event some other part cannot read
keeps no one from hearing back.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import msgspec
import structlog
from msgspec.structs import replace

from events.envelope import Recorded
from events.stream_names import job_of
from services.adapters.telegram.order_labels import LineState
from services.notifier.progress_bar import floor_after

logger = structlog.get_logger()

Kind = Literal[
    "video", "failure", "gift", "paid", "paid_again", "referral", "referred", "grant",
    "ending", "left", "works",
]  # fmt: skip
UsualSeconds = Callable[[str, int], float | None]
"""How long such a video usually takes: by model and length; None: too few were made."""

ENDED: frozenset[LineState] = frozenset({"done", "failed", "gifted"})


class JobLine(msgspec.Struct, frozen=True):
    """One job of an order, as the table `order_jobs` has it.

    `rendering_us`: since when it is rendered, epoch microseconds; `usual_s`: how long that usually takes, as
    known then, 0 when it was not; `floor_percent`: the bar begins there. `stars`: given by the seller.
    """

    job: str
    order_id: str
    account: str
    number: int
    of_jobs: int
    price: int
    locale: str
    state: LineState = "queued"
    style: str = ""
    format: str = ""
    seconds: int = 0
    position: int = 0
    rendering_us: int = 0
    usual_s: float = 0.0
    floor_percent: int = 0
    stars: int = 0


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
    style: str = ""
    format: str = ""
    seconds: int = 0


class _Intended(msgspec.Struct):
    model: str = ""


class _Rated(msgspec.Struct):
    stars: int


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
_intended = msgspec.json.Decoder(_Intended)
_rated = msgspec.json.Decoder(_Rated)
_failed = msgspec.json.Decoder(_Failed)
_with_video = msgspec.json.Decoder(_WithVideo)

_MOVES: dict[str, tuple[frozenset[LineState], LineState]] = {
    # a run that takes over a job which is being rendered is no step back for the seller
    "JobStarted": (frozenset({"queued"}), "writing"),
    "PromptWritten": (frozenset({"queued", "writing"}), "waiting"),
    "SubmissionIntended": (frozenset({"queued", "writing", "waiting", "retrying"}), "rendering"),
    "RetryScheduled": (frozenset({"queued", "writing", "waiting", "rendering"}), "retrying"),
}


def jobs_in(events: Iterable[Recorded]) -> list[str]:
    return list(dict.fromkeys(job for event in events if (job := job_of(event.stream)) is not None))


def fold(
    known: Mapping[str, JobLine], events: Iterable[Recorded], usual: UsualSeconds = lambda _model, _s: None
) -> Changes:
    """Fold `events` into the `known` lines, and the messages they owe."""
    changes = Changes({}, [])
    for event in events:
        job = job_of(event.stream)
        if job is None:
            continue
        try:
            _fold_one(changes, changes.lines.get(job) or known.get(job), job, event, usual)
        except msgspec.DecodeError as error:
            logger.error(
                "event_unreadable", job=job, position=event.position, type=event.type, error=str(error)
            )
    return changes


def _fold_one(changes: Changes, line: JobLine | None, job: str, event: Recorded, usual: UsualSeconds) -> None:
    if event.type == "JobQueued":
        queued = _queued.decode(event.data)
        changes.lines[job] = JobLine(
            job, queued.order, queued.account, queued.number, queued.of, queued.price, queued.locale,
            style=queued.style, format=queued.format, seconds=queued.seconds, position=event.position,
        )  # fmt: skip
    elif line is None:
        logger.error("job_unknown", job=job, position=event.position, type=event.type)
    elif event.type in _MOVES:
        before, after = _MOVES[event.type]
        if line.state in before:
            changes.lines[job] = _move(line, after, event, usual)
    elif event.type == "VideoRated":
        changes.lines[job] = replace(line, stars=_rated.decode(event.data).stars)
    else:
        _end(changes, line, event)


def _move(line: JobLine, after: LineState, event: Recorded, usual: UsualSeconds) -> JobLine:
    at_us = event.recorded_at_us
    if after == "rendering":
        usual_s = usual(_intended.decode(event.data).model, line.seconds) or 0.0
        return replace(line, state=after, rendering_us=at_us, usual_s=usual_s)
    if line.state == "rendering" and line.usual_s:
        floor = floor_after((at_us - line.rendering_us) / 1e6, line.usual_s, line.floor_percent)
        return replace(line, state=after, floor_percent=floor)
    return replace(line, state=after)


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
