"""Several provider accounts, and several users who want to use them at once."""

import asyncio

from pydantic import SecretStr

from events.job import SubmissionFailed, SubmissionIntended
from services.adapters.kie.gateway import account_name
from tests.support.worker_fixture import WorkerFixture

KEYS = (SecretStr("sandbox-key-1"), SecretStr("sandbox-key-2"))
SECRET = SecretStr("of these tests alone")


async def test_a_key_without_credits_rests_and_the_other_one_makes_the_videos(
    workshop: WorkerFixture,
) -> None:
    workshop.sandbox.fault("kie", "createTask", "no_balance", times=None, match={"key": "sandbox-key-1"})
    kie = f"{workshop.sandbox.url}/kie"
    await workshop.worker(
        kie_api_keys=KEYS,
        callback_secret=SECRET,
        kie_api_url=kie,
        kie_upload_url=kie,
        kie_rest_seconds=60.0,
    )
    for _ in range(2):
        jobs = await workshop.order(4)
        states = await asyncio.gather(*(workshop.ended(job) for job in jobs))
        assert [state.outcome for state in states] == ["succeeded"] * 4
    events = [event for job in jobs for event in await workshop.events(job)]
    assert not [event for event in events if isinstance(event, SubmissionFailed)], "it rests by then"
    used = {event.provider_account for event in events if isinstance(event, SubmissionIntended)}
    assert used == {account_name(KEYS[1])}
    await workshop.audit()


async def test_when_the_only_key_has_trouble_the_next_job_waits_for_its_rest_to_end(
    workshop: WorkerFixture,
) -> None:
    workshop.sandbox.fault("kie", "createTask", "no_balance", times=1)
    await workshop.worker()
    (first,) = await workshop.order()
    assert (await workshop.ended(first)).outcome == "failed"
    (second,) = await workshop.order()
    assert (await workshop.ended(second)).outcome == "succeeded"
    await workshop.audit()


async def test_when_no_key_will_be_well_in_time_the_job_is_refunded_at_once(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("kie", "createTask", "bad_key", times=1)
    kie = f"{workshop.sandbox.url}/kie"
    await workshop.worker(
        kie_api_keys=KEYS[:1],
        callback_secret=SECRET,
        kie_api_url=kie,
        kie_upload_url=kie,
        kie_rest_seconds=300.0,
        kie_poll_seconds=0.5,
    )
    (first,) = await workshop.order()
    assert (await workshop.ended(first)).outcome == "failed"
    (second,) = await workshop.order(deadline_s=60)
    state = await workshop.ended(second)
    assert state.failure is not None and (state.outcome, state.failure.code) == ("failed", "resting")
    await workshop.audit()
