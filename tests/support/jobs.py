"""Jobs as the log has them, for tests: what happened, waiting for it, and what others do to a job."""

from events.codec import decode
from events.job import Failure, JobEvent
from events.stream_names import job_stream
from ledger import commands as c
from ledger.jobs.state import JobState
from ledger.log.ledger import Ledger
from tests.support.waiting import PATIENCE_S, eventually


class Jobs:
    """Reads and moves single jobs."""

    ledger: Ledger

    async def job(self, job: str) -> JobState:
        return await self.ledger.read.job(job)

    async def ended(self, job: str, timeout_s: float = PATIENCE_S) -> JobState:
        """The job once it has an outcome."""

        async def has_ended() -> JobState | None:
            state = await self.job(job)
            return state if state.outcome else None

        state = await eventually(has_ended, timeout_s, what=f"job {job} ends")
        assert state is not None
        return state

    async def events(self, job: str) -> list[JobEvent]:
        recorded = await self.ledger.read.stream(job_stream(job))
        return [decode(event) for event in recorded]  # type: ignore[misc]

    async def types(self, job: str) -> list[str]:
        return [type(event).__name__ for event in await self.events(job)]

    async def come_to(self, job: str, event: type[JobEvent], timeout_s: float = PATIENCE_S) -> None:
        """Until the job's stream holds such an event."""

        async def there() -> bool:
            return event.__name__ in await self.types(job)

        await eventually(there, timeout_s, what=f"{event.__name__} of {job}")

    async def has(self, job: str, event: str) -> bool:
        return event in await self.types(job)

    async def count(self, job: str, event: type[JobEvent], at_least: int) -> bool:
        return (await self.types(job)).count(event.__name__) >= at_least

    async def fail(self, job: str) -> None:
        """An operator ends the job."""
        failure = Failure("unclassified", "operator")
        command = c.FailJob(job, (await self.job(job)).account, "operator", failure, reason="by hand")
        await self.ledger.execute(command, key=f"fail:{job}:operator")

    async def steal(self, job: str, run: int) -> None:
        """Somebody else starts a run and is never heard of again."""
        await self.ledger.execute(c.StartJob(job, run, "thief"), key=f"start:{job}:{run}")
