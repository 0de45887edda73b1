"""What to do when the provider says that a task is done: look for ourselves, and record the task.

Nothing in a call is believed but which task to look at. Its record is read with our own key, and only one
whose `callBackUrl` is exactly the address that was called belongs to the submission. So a task is found again
although the answer to its creation was lost, and a forged call changes nothing.
"""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import msgspec
import structlog
from structlog.contextvars import bind_contextvars

from ledger.commands import RecordAccepted
from ledger.errors import LedgerBusy, LedgerUnavailable, Rejected, TaskMismatch
from ledger.job_state import Submission
from ledger.log import Ledger
from services.adapters.kie.client import KieClient
from services.adapters.kie.errors import KieError, TaskUnknown
from services.shared.callback_urls import callback_url
from services.shared.ids import is_outside_id
from services.shared.settings import Settings
from services.web.metrics import CALLBACKS

logger = structlog.get_logger()

Outcome = Literal["recorded", "known", "other_task", "no_task", "unknown", "foreign", "later"]


class Accounts(Protocol):
    """The provider's accounts by name; `services.adapters.kie.gateway.Kie` is one."""

    def client(self, account: str) -> KieClient | None:
        """None when its key is no longer configured."""


class CallbackDesk:
    """Takes calls whose secret (and signature) is right; `hint` is told of each job whose task has news."""

    def __init__(
        self, settings: Settings, ledger: Ledger, accounts: Accounts, hint: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._accounts = accounts
        self._hint = hint

    async def take(self, job: str, number: int, task: str | None) -> Outcome:
        """Look at the task a call is about. `later`: somebody is away, it should be sent again."""
        outcome = await self._take(job, number, task)
        CALLBACKS.labels(outcome).inc()
        if outcome in ("recorded", "known"):
            self._hint(job)
        log = logger.info if outcome in ("recorded", "known") else logger.warning
        log("callback_taken", job=job, submission=number, outcome=outcome)
        return outcome

    async def _take(self, job: str, number: int, task: str | None) -> Outcome:
        if task is None:
            return "no_task"
        state = await self._ledger.read.job(job)
        bind_contextvars(account=state.account)
        submission = next((s for s in state.submissions if s.number == number), None)
        if submission is None:
            return "unknown"
        if submission.task == task:
            return "known"
        found = await self._is_ours(job, submission, task)
        return found or await self._record(job, number, task)

    async def _is_ours(self, job: str, submission: Submission, task: str) -> Outcome | None:
        """None when the task's record says that it was made for this submission."""
        client = self._accounts.client(submission.provider_account)
        if client is None:
            logger.error("callback_without_key", job=job, provider_account=submission.provider_account)
            return "later"
        try:
            record = await client.read_task(task)
        except TaskUnknown:
            return "unknown"
        except KieError as error:
            logger.warning("callback_not_checked", job=job, error=str(error))
            return "later"
        ours = callback_url(self._settings, job, submission.number)
        if ours is None or record.callback_url != ours or record.task not in ("", task):
            return "foreign"
        return None

    async def _record(self, job: str, number: int, task: str) -> Outcome:
        try:
            command = RecordAccepted(job, number, task)
            receipt = await self._ledger.execute(command, key=f"accept:{job}:{number}:{task}")
            bind_contextvars(position=receipt.position)
        except TaskMismatch:
            # One call of ours made two tasks: both may cost money, so somebody should know.
            logger.error("submission_has_two_tasks", job=job, submission=number, task=task)
            return "other_task"
        except (LedgerUnavailable, LedgerBusy) as error:
            logger.warning("callback_not_recorded", job=job, error=repr(error))
            return "later"
        except Rejected as error:
            logger.error("callback_rejected", job=job, submission=number, error=repr(error))
            return "unknown"
        return "recorded"


def task_in(body: bytes) -> str | None:
    """The task a call is about, wherever the provider put it; None when there is none."""
    try:
        call = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(call, dict):
        return None
    data: dict[str, Any] = call["data"] if isinstance(call.get("data"), dict) else {}
    task = data.get("taskId") or data.get("task_id") or call.get("taskId")
    return str(task) if is_outside_id(task) else None
