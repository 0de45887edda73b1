"""A job's reads and writes in Postgres; retries transient errors until cancelled. Batched."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog

from events.job import PromptSource
from events.stream_names import job_of
from ledger.commands import Command
from ledger.jobs.state import JobState
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.postgres import TRANSIENT
from services.accounts.personal_data import Brief, PersonalData, as_brief
from services.generation.prompts.scripts import Script
from services.platform.backoff import backoff_s
from services.platform.batching import Batcher

logger = structlog.get_logger()

T = TypeVar("T")


class WrittenPrompt(msgspec.Struct, frozen=True):
    """The stored text of a prompt; the event repeats all but the words. `prompt` is for the ordered model,
    `script` the writing model's answer, from which an alternative's is made."""

    prompt: str
    source: PromptSource
    template: str
    reason: str = ""
    script: Script | None = None


class JobStore:
    """Every read and write of a job. Raises RejectedError and KeyReusedError; waits out TRANSIENT."""

    def __init__(self, ledger: Ledger, people: PersonalData) -> None:
        self.ledger = ledger
        self._people = people
        self._jobs = Batcher(ledger.read.jobs)
        self._texts = Batcher(people.texts)

    async def append(self, command: Command, key: str) -> Receipt:
        """Execute the command, repeated until its outcome is known."""
        return await retry_forever(lambda: self.ledger.execute(command, key=key), "append")

    async def job(self, job: str) -> JobState:
        return await retry_forever(lambda: self._jobs.ask(job), "read_job")

    async def job_at(self, position: int) -> tuple[str, str] | None:
        """The job and type of the event at a position; None for events of other streams."""
        events = await retry_forever(lambda: self.ledger.read.events_after(position - 1, 1), "read_event")
        if not events or events[0].position != position:
            return None
        job = job_of(events[0].stream)
        return None if job is None else (job, events[0].type)

    async def brief(self, ref: str) -> Brief | None:
        """The seller's words; None when they were erased."""
        return as_brief(await self.text(ref))

    async def text(self, ref: str) -> bytes | None:
        return await retry_forever(lambda: self._texts.ask(ref), "read_text")

    async def prompt(self, ref: str) -> WrittenPrompt | None:
        stored = await self.text(ref)
        return None if stored is None else msgspec.json.decode(stored, type=WrittenPrompt)

    async def keep_text(self, account: str, body: dict[str, Any], ref: str) -> None:
        """Store a text under `ref`; the first one stays. Raises ForeignKeyViolationError for no account."""
        await retry_forever(lambda: self._people.keep_text(account, body, ref), "keep_text")

    async def keep_words(self, account: str, words: str) -> str:
        return await retry_forever(lambda: self._people.keep_words(account, words), "keep_words")

    async def own_video(self, blob: str, account: str) -> bool:
        """Assign the blob before a video's first byte. False when the account was erased."""
        try:
            await retry_forever(lambda: self._people.own_video(blob, account), "own_video")
        except asyncpg.ForeignKeyViolationError:
            return False
        return True

    async def has_owner(self, blob: str) -> bool:
        """Once it is stored: whether it may be kept."""
        return await retry_forever(lambda: self._people.use_blob(blob), "use_blob")


async def retry_forever(ask: Callable[[], Awaitable[T]], what: str) -> T:
    failures = 0
    while True:
        try:
            return await ask()
        except TRANSIENT as error:
            failures += 1
            pause_s = backoff_s(failures, 0.1, 5.0)
            logger.warning("postgres_waited_for", what=what, error=repr(error), again_in_s=round(pause_s, 2))
            await asyncio.sleep(pause_s)
