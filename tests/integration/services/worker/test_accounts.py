"""Several provider accounts, and several users who want to use them at once."""

import asyncio
from collections import Counter
from typing import Any

from pydantic import SecretStr

from events.job import SubmissionFailed, SubmissionIntended
from services.adapters.kie.gateway import account_name
from services.cli.doctor.servers import check_kie_keys
from tests.support.worker_fixture import WorkerFixture

KEYS = (SecretStr("sandbox-key-1"), SecretStr("sandbox-key-2"))
SECRET = (SecretStr("of these tests alone"),)


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


async def test_a_key_is_rotated_under_load_and_what_it_began_is_fetched(workshop: WorkerFixture) -> None:
    """As docs/rotation.md says: the new one begins, the old one fetches, the doctor says when it may go."""
    kie = f"{workshop.sandbox.url}/kie"
    old, new = KEYS
    urls: dict[str, Any] = {
        "kie_api_url": kie,
        "kie_upload_url": kie,
        "callback_secret": SECRET,
        "kie_poll_seconds": 0.2,
    }
    before = urls | {"kie_api_keys": (old,)}
    after = urls | {"kie_api_keys": (new,), "kie_api_keys_retiring": (old,)}
    unseen: dict[str, Any] = {"match": {"key": old.get_secret_value()}, "times": None}
    workshop.sandbox.fault("kie", "recordInfo", "server_error", **unseen)

    async def told(**settings: Any) -> list[tuple[str, str]]:
        found = await check_kie_keys(workshop.settings.model_copy(update=settings))
        return [(check.state, check.found) for check in found]

    running = await workshop.worker(**before)
    begun = await workshop.order(3)
    _ = [task async for task in workshop.until_tasks(3)]
    await running.end()
    assert [state for state, _ in await told(**urls, kie_api_keys=(new,))] == ["fail"], "not simply taken out"

    await workshop.worker(**after)
    fresh = await workshop.order(2)
    states = [await workshop.ended(job) for job in fresh]
    ((state, found),) = await told(**after)
    assert state == "ok" and found.startswith(f"{account_name(old)}: 3 videos may still come with it, until ")
    workshop.sandbox.ctx.faults.remove(None)
    states += [await workshop.ended(job) for job in begun]
    assert {state.outcome for state in states} == {"succeeded"}
    assert Counter(task["key"] for task in await workshop.tasks()) == {
        old.get_secret_value(): 3,
        new.get_secret_value(): 2,
    }
    assert [state for state, _ in await told(**after)] == ["warn"], "it may go"

    workshop.sandbox.turn(keys_revoked=[old.get_secret_value()])
    (last,) = await workshop.order()
    assert (await workshop.ended(last)).outcome == "succeeded"
    await workshop.audit()
