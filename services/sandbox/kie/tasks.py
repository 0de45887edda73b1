"""A generation task: its input, its fault, and its visible state over time."""

from __future__ import annotations

import json
from typing import Any, Literal

import msgspec

from services.sandbox.app import Context

TASK_KIND = "kie_task"

# Shares of the rendering time; a task waits, is queued, then generates.
_QUEUING_FROM = 0.1
_GENERATING_FROM = 0.25

_FAIL_TEXTS = {
    "policy": (
        "500",
        "This content may violate our guardrails concerning similarity to third-party content.",
    ),
    "face": ("500", "The input image may contain real person."),
    "google_policy": (
        "500",
        "The request violates Google's Generative AI Prohibited Use policy, please change the prompt.",
    ),
    "task_transient": ("500", "Internal Error, Please try again later."),
    "task_timeout": ("500", "The generation timed out, no results were returned"),
    "task_no_balance": (
        "402",
        "Credits insufficient : Your current balance isn't enough to run this request. "
        "Please top up to continue.",
    ),
}


class Task(msgspec.Struct, kw_only=True):
    """Times are epoch milliseconds; `cost` is in KIE credits."""

    id: str
    model: str
    key: str
    body: dict[str, Any]
    callback: str = ""
    origin: str  # where the caller reached us; result URLs begin with it
    photo: str  # file name in the store
    small: bool = False  # a small video is enough
    created_ms: int
    due_ms: int
    cost: float
    fault: str = ""
    fault_args: dict[str, Any] = {}
    callback_fault: str = ""
    state: Literal["open", "success", "fail"] = "open"
    completed_ms: int = 0
    fail_code: str = ""
    fail_msg: str = ""
    video: str = ""  # file name in the store, once rendered

    @property
    def prompt(self) -> str:
        given = self.body.get("input", self.body)
        return str(given.get("prompt", "")) if isinstance(given, dict) else ""

    @property
    def endless(self) -> bool:
        """Never settles: stuck on purpose."""
        forever = self.fault == "unknown_state" and self.fault_args.get("forever")
        return self.fault == "never_finishes" or bool(forever)


def words(task: Task) -> dict[str, str]:
    return {"key": task.key, "model": task.model, "callback": task.callback, "prompt": task.prompt}


def load(ctx: Context, task_id: str) -> Task | None:
    doc = ctx.store.get(TASK_KIND, task_id)
    return None if doc is None else msgspec.convert(doc, Task)


def save(ctx: Context, task: Task) -> None:
    ctx.store.put(TASK_KIND, task.id, msgspec.to_builtins(task))


def planned_failure(task: Task) -> tuple[str, str] | None:
    """(failCode, failMsg) when a fault makes this task fail; `code` and `msg` of its args win."""
    if task.fault not in _FAIL_TEXTS:
        return None
    code, text = _FAIL_TEXTS[task.fault]
    return str(task.fault_args.get("code", code)), str(task.fault_args.get("msg", text))


def visible_state(task: Task, now_ms: int) -> str:
    """`waiting`, `queuing`, `generating`, `success`, `fail`, or what an unknown_state fault says."""
    if task.state != "open":
        return task.state
    passed = (now_ms - task.created_ms) / max(1, task.due_ms - task.created_ms)
    if task.fault == "never_finishes":
        wanted = task.fault_args.get("state")
        if isinstance(wanted, str):
            return wanted
    if passed < _QUEUING_FROM:
        return "waiting"
    if passed < _GENERATING_FROM:
        return "queuing"
    if task.fault == "unknown_state":
        return str(task.fault_args.get("state", "post_processing"))
    return "generating"


def result_json(task: Task) -> str | dict[str, Any]:
    """`resultJson` of a success: a JSON string, unless a fault wants something else."""
    if task.fault == "success_without_url":
        return str(task.fault_args.get("result_json", '{"resultUrls":[]}'))
    result: dict[str, Any] = {"resultUrls": [f"{task.origin}/kie/v/{task.id}.mp4"]}
    return result if task.fault == "result_as_object" else json.dumps(result, separators=(",", ":"))


def record(task: Task, now_ms: int) -> dict[str, Any]:
    state = visible_state(task, now_ms)
    return {
        "taskId": task.id,
        "model": task.model,
        "state": state,
        "param": json.dumps(task.body, ensure_ascii=False, separators=(",", ":")),
        "resultJson": result_json(task) if state == "success" else "",
        "failCode": task.fail_code,
        "failMsg": task.fail_msg,
        "costTime": task.completed_ms - task.created_ms if state == "success" else 0,
        "completeTime": task.completed_ms,
        "createTime": task.created_ms,
        "updateTime": task.completed_ms or min(now_ms, task.due_ms),
        "creditsConsumed": _number(task.cost) if state == "success" else 0,
    }


def callback_body(task: Task) -> dict[str, Any]:
    data = record(task, task.completed_ms)
    data["costTime"] //= 1000  # seconds here, milliseconds in recordInfo: so it is
    if task.state == "success":
        data["failCode"] = data["failMsg"] = None
        return {"code": 200, "msg": "Playground task completed successfully.", "data": data}
    del data["resultJson"]
    return {"code": 501, "msg": "Playground task failed.", "data": data}


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
