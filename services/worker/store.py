"""The ledger and the tables beside it, for someone who can wait: trouble with Postgres is waited out.

A job is never dropped because Postgres is away; whoever asks here gets an answer or is cancelled. What many
jobs ask at the same time is one statement.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog

from events.stream_names import job_of
from ledger.commands import Command
from ledger.jobs.state import JobState
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.postgres import TRANSIENT
from services.accounts.personal_data import Brief, NewText, PersonalData, as_brief
from services.platform.backoff import backoff_s
from services.platform.batching import Batcher

logger = structlog.get_logger()

T = TypeVar("T")


class JobStore:
    """Every read and write of a job. Raises RejectedError and KeyReusedError at once, and waits out what is
    TRANSIENT."""

    def __init__(self, ledger: Ledger, people: PersonalData) -> None:
        self._ledger = ledger
        self._people = people
        self._jobs = Batcher(ledger.read.jobs)
        self._texts = Batcher(people.texts)
        self._new_texts = Batcher(self._keep_texts)

    async def append(self, command: Command, key: str) -> Receipt:
        """Execute the command. The same command is sent again until its outcome is known."""
        return await _retry_transient(lambda: self._ledger.execute(command, key=key), "append")

    async def job(self, job: str) -> JobState:
        """The job as it stands."""
        return await _retry_transient(lambda: self._jobs.ask(job), "read_job")

    async def job_at(self, position: int) -> tuple[str, str] | None:
        """The job that the event at a position is about, and the event's type; None for other events."""
        events = await _retry_transient(lambda: self._ledger.read.events_after(position - 1, 1), "read_event")
        if not events or events[0].position != position:
            return None
        job = job_of(events[0].stream)
        return None if job is None else (job, events[0].type)

    async def brief(self, ref: str) -> Brief | None:
        """The seller's words; None when they were erased."""
        return as_brief(await self.text(ref))

    async def text(self, ref: str) -> bytes | None:
        """A stored text's JSON; None when there is none."""
        return await _retry_transient(lambda: self._texts.ask(ref), "read_text")

    async def keep_text(self, account: str, body: dict[str, Any], ref: str) -> None:
        """Store a text under `ref`, unless there is one. Raises ForeignKeyViolationError for no account."""
        text = NewText(ref, account, msgspec.json.encode(body).decode())
        await _retry_transient(lambda: self._new_texts.ask(text), "keep_text")

    async def own_blob(self, blob: str, account: str) -> bool:
        """Before a video's first byte: it is theirs. False when they were erased."""
        try:
            await _retry_transient(lambda: self._people.own_blob(blob, account, stays=True), "own_blob")
        except asyncpg.ForeignKeyViolationError:
            return False
        return True

    async def has_owner(self, blob: str) -> bool:
        """Once it is stored: whether it may be kept."""
        return await _retry_transient(lambda: self._people.use_blob(blob), "use_blob")

    async def _keep_texts(self, texts: Sequence[NewText]) -> Sequence[Exception | None]:
        try:
            await self._people.keep_texts(texts)
        except asyncpg.ForeignKeyViolationError as error:
            if len(texts) == 1:
                return [error]
            return [answer for text in texts for answer in await self._keep_texts([text])]
        return [None] * len(texts)

    async def wait_out(self, ask: Callable[[], Awaitable[T]], what: str) -> T:
        """The answer to something else that is asked of Postgres."""
        return await _retry_transient(ask, what)


async def _retry_transient(ask: Callable[[], Awaitable[T]], what: str) -> T:
    failures = 0
    while True:
        try:
            return await ask()
        except TRANSIENT as error:
            failures += 1
            pause_s = backoff_s(failures, 0.1, 5.0)
            logger.warning("postgres_waited_for", what=what, error=repr(error), again_in_s=round(pause_s, 2))
            await asyncio.sleep(pause_s)
