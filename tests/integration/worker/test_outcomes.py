"""One job, every way it can end."""

from tests.support.workshop import Workshop


async def test_a_video(workshop: Workshop) -> None:
    await workshop.worker()
    (job,) = await workshop.order()
    state = await workshop.ended(job)
    assert state.outcome == "succeeded" and state.video is not None
    assert await workshop.types(job) == [
        "JobQueued",
        "JobStarted",
        "PromptWritten",
        "SubmissionIntended",
        "SubmissionAccepted",
        "JobSucceeded",
    ]
    await workshop.audit()
    await workshop.nothing_pending()
