"""A task as recordInfo tells it: state, results, failure, and whose callback it carries."""

from typing import Any, Literal

import msgspec

from events.job import Failure
from services.adapters.kie.failures import Signal, failure_for
from services.platform.scrub import scrub

TaskState = Literal["running", "success", "fail"]

_RUNNING = ("waiting", "queuing", "generating")
URLS_MAX = 10


class TaskRecord(msgspec.Struct, frozen=True):
    """`said` is the provider's own word for the state; one nobody knows counts as running.

    `callback_url` is the one its creator gave, whoever that was: ours proves that the task is ours.
    `failure` is set when the state is `fail`, and on a `success` without any `urls`.
    """

    task: str
    state: TaskState
    said: str
    urls: tuple[str, ...] = ()
    failure: Failure | None = None
    callback_url: str | None = None

    @property
    def odd(self) -> bool:
        """A state outside the documented ones."""
        return self.state == "running" and self.said not in _RUNNING


def parse_record(data: dict[str, Any]) -> TaskRecord:
    """The record out of recordInfo's `data`. Never raises; what cannot be read is missing."""
    said = str(data.get("state") or "")
    task = str(data.get("taskId") or "")
    callback_url = _callback_url(data.get("param"))
    match said.lower():
        case "success" | "succeeded" | "completed":
            urls = _urls(data.get("resultJson"))
            return TaskRecord(task, "success", said, urls, None if urls else _no_urls(data), callback_url)
        case "fail" | "failed":
            return TaskRecord(task, "fail", said, (), _failure(data), callback_url)
        case _:
            return TaskRecord(task, "running", said, (), None, callback_url)


def _failure(data: dict[str, Any]) -> Failure:
    # Without a code the words alone decide; "501" is what the provider calls a generation that failed.
    code = str(data.get("failCode") or "") or "501"
    return failure_for(Signal(fail_code=code, text=str(data.get("failMsg") or "")), raw=_raw(data))


def _no_urls(data: dict[str, Any]) -> Failure:
    return Failure("result_broken", "", "a success without a video's address", raw=scrub(_raw(data)))


def _raw(data: dict[str, Any]) -> str:
    """What the provider said of the task; `param` only repeats what it was sent."""
    said = {name: value for name, value in data.items() if name != "param"}
    return msgspec.json.encode(said).decode()


def _urls(result: Any) -> tuple[str, ...]:
    found = _object(result).get("resultUrls")
    if not isinstance(found, list):
        return ()
    return tuple(url for url in found if isinstance(url, str) and url)[:URLS_MAX]


def _callback_url(param: Any) -> str | None:
    url = _object(param).get("callBackUrl")
    return url if isinstance(url, str) else None


def _object(value: Any) -> dict[str, Any]:
    """An object given as itself or, as the provider mostly does, as JSON text."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
