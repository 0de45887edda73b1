"""The notifier's fold: what each event changes, and that no event keeps others from being told."""

import json
from typing import Any

from events.envelope import GENESIS_HASH, Recorded
from services.notifier.expected_messages import JobLine, fold, jobs_in


def event(position: int, type_name: str, job: str = "j1", data: str | None = None, **fields: Any) -> Recorded:
    text = data if data is not None else json.dumps(fields)
    return Recorded(
        position, f"job-{job}", position, type_name, text, None, None, None, None, 0, GENESIS_HASH
    )


def queued(position: int, job: str = "j1") -> Recorded:
    return event(position, "JobQueued", job, account="a1", order="o1", number=1, of=2, price=3, locale="en")


VIDEO = {"blob": "videos/v.mp4", "sha256": "x", "size_bytes": 9}


def state_after(*events: Recorded) -> str:
    return fold({}, [queued(1), *events]).lines["j1"].state


def test_a_job_walks_through_its_states() -> None:
    assert state_after() == "queued"
    assert state_after(event(2, "JobStarted")) == "writing"
    assert state_after(event(2, "JobStarted"), event(3, "PromptWritten")) == "waiting"
    assert state_after(event(2, "JobStarted"), event(3, "SubmissionIntended")) == "rendering"
    assert state_after(event(2, "SubmissionIntended"), event(3, "RetryScheduled")) == "retrying"
    assert state_after(event(2, "RetryScheduled"), event(3, "SubmissionIntended")) == "rendering"
    assert state_after(event(2, "JobSucceeded", video=VIDEO)) == "done"
    assert state_after(event(2, "JobFailed")) == "failed"
    assert state_after(event(2, "JobFailed"), event(3, "VideoGifted", video=VIDEO)) == "gifted"


def test_another_run_is_no_step_back() -> None:
    rendering = (event(2, "JobStarted"), event(3, "SubmissionIntended"))
    assert state_after(*rendering, event(4, "JobStarted")) == "rendering"


def test_the_same_events_in_one_batch_or_in_many_come_to_the_same() -> None:
    events = [
        queued(1),
        event(2, "JobStarted"),
        event(3, "SubmissionIntended"),
        event(4, "JobFailed", failure={"error_class": "timeout"}),
        event(5, "VideoGifted", video=VIDEO),
    ]
    whole = fold({}, events)
    lines: dict[str, JobLine] = {}
    owed = []
    for one in events:
        changes = fold(lines, [one])
        lines |= changes.lines
        owed += changes.owed
    assert lines == whole.lines
    assert owed == whole.owed
    assert [(o.kind, o.position, o.error_class, o.blob) for o in owed] == [
        ("failure", 4, "timeout", ""),
        ("gift", 5, "", "videos/v.mp4"),
    ]


def test_events_that_tell_a_seller_nothing_change_nothing() -> None:
    line = fold({}, [queued(1)]).lines["j1"]
    events = [
        event(3, "SubmissionAccepted"),
        event(4, "JobHandedBack"),
        event(5, "SomethingNewFromALaterVersion"),
        Recorded(6, "account-a1", 1, "CreditsCharged", "{}", None, None, None, None, 0, GENESIS_HASH),
    ]
    changes = fold({"j1": line}, events)
    assert not changes.lines and not changes.owed
    assert jobs_in(events) == ["j1"]


def test_a_failure_that_cannot_be_read_is_still_told() -> None:
    changes = fold({}, [queued(1), event(2, "JobFailed", data='{"failure": 7}')])
    assert [owed.error_class for owed in changes.owed] == ["unclassified"]


def test_an_unreadable_event_does_not_stop_the_others() -> None:
    events = [
        event(1, "JobQueued", "bad", data='{"account": 7}'),
        event(2, "JobFailed", "bad"),
        queued(3),
        event(4, "JobSucceeded", data='{"video": 1}'),
        event(5, "JobFailed", "other"),
        queued(6, "j2"),
        event(7, "JobSucceeded", "j2", video=VIDEO),
    ]
    changes = fold({}, events)
    assert set(changes.lines) == {"j1", "j2"}
    assert [(owed.line.job, owed.kind) for owed in changes.owed] == [("j2", "video")]


def test_fields_added_later_do_not_matter() -> None:
    newer = event(1, "JobQueued", account="a1", order="o1", something_new=[1, 2], locale="ru")
    assert fold({}, [newer]).lines["j1"].account == "a1"
