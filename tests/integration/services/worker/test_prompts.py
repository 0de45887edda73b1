"""Whatever becomes of the writing, a job ends in a video."""

from tests.support.worker_fixture import PRODUCT, WorkerFixture

SPOILED = {
    "refusal": "refused",
    "content_filter": "refused",
    "policy": "refused",
    "truncated": "bad_answer",
    "invalid_json": "bad_answer",
    "half_filled": "bad_answer",
    "html_200": "bad_answer",
    "html_502": "unavailable",
    "server_error": "unavailable",
    "rate_limit": "rate_limited",
    "bad_request": "bad_request",
    "hang": "timeout",
}


async def test_whatever_openai_does_the_template_makes_the_video(workshop: WorkerFixture) -> None:
    """Each fault is one job's; the last, which opens the breaker, is everyone's."""
    await workshop.worker()
    jobs = {}
    for fault, reason in SPOILED.items():
        word = f"знак-{fault}"
        args = {"seconds": 0.1} if fault == "rate_limit" else {}
        workshop.sandbox.fault("openai", "chat", fault, times=None, match={"prompt": word}, args=args)
        (job,) = await workshop.order(product=f"{PRODUCT}, {word}")
        jobs[job] = reason
    for job, reason in jobs.items():
        assert (await workshop.ended(job)).outcome == "succeeded"
        prompt = await workshop.prompt(job)
        assert (prompt["source"], prompt["reason"]) == ("fallback", reason)
        assert PRODUCT in prompt["prompt"]
    workshop.sandbox.fault("openai", "chat", "quota", times=None)
    for _ in range(2):  # the second is spared the call
        (job,) = await workshop.order()
        assert (await workshop.ended(job)).outcome == "succeeded"
        assert (await workshop.prompt(job))["reason"] == "quota"


async def test_an_own_prompt_stays_the_sellers_own(workshop: WorkerFixture) -> None:
    workshop.sandbox.fault("openai", "chat", "quota", times=None)
    await workshop.worker()
    (job,) = await workshop.order(style="own", wishes="Кружка летит над Невой")
    assert (await workshop.ended(job)).outcome == "succeeded"
    prompt = await workshop.prompt(job)
    assert prompt["source"] == "own" and prompt["prompt"].startswith("Кружка летит над Невой.")
