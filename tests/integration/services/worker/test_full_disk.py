"""A Redis whose disk is full refuses every write: jobs in hand go on, new ones begin when there is room."""

import pytest
from structlog.testing import capture_logs

from events.job import SubmissionAccepted
from services.platform.outage_log import REDIS
from tests.support.small_disk import small_redis
from tests.support.waiting import eventually
from tests.support.worker_fixture import WorkerFixture


async def test_a_worker_outlasts_a_redis_that_refuses_writes(
    workshop: WorkerFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.platform.redis.AWAY_S", 0.05)
    async with small_redis() as small:
        workshop.use_redis(small.url)
        workshop.sandbox.turn(render_seconds=1.0)
        await workshop.worker()
        (job,) = await workshop.order()
        await workshop.come_to(job, SubmissionAccepted)
        with capture_logs() as logs:

            def told(event: str) -> list[str]:
                return [line["what"] for line in logs if line["event"] == event]

            await small.refuse_writes()
            assert (await workshop.ended(job)).outcome == "succeeded"
            late = await workshop.worker()  # waits for its seat
            await eventually(lambda: REDIS._times > 20, what="everybody to try again and again")
            assert not late.task.done() and late.worker.status()["seat"] == ""
            assert told("trouble_met") == ["Redis"] and told("trouble_over") == []
            await small.make_room()
            (another,) = await workshop.order()
            assert (await workshop.ended(another)).outcome == "succeeded"
            await eventually(lambda: late.worker.status()["seat"])
            await eventually(lambda: told("trouble_over"))
            assert told("trouble_met") == ["Redis"]
            noisy = [line["event"] for line in logs if line["log_level"] in ("warning", "error")]
            assert noisy == ["trouble_met"]
        assert len(await workshop.tasks()) == 2
        await workshop.audit()
        await workshop.nothing_pending()
        await workshop.close()
