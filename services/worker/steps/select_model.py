"""Choice of the video model: the ordered one, or while it rests an alternative.

Asked before each submission, and again before its intent, since an operator's pause and other workers'
troubles count within seconds. A model that said in this job that it is paused is not asked again by it, which
bounds how often a job changes its model.
"""

import io

from PIL import Image

from events.job import Failure
from services.generation.catalogue import Model
from services.generation.error_classes import policy_for
from services.generation.wait_estimate import believed
from services.platform.blobs import BlobError
from services.worker.run import JobRun
from services.worker.store import retry_forever

PAUSED = "model_paused"


NOT_OFFERED = Failure(PAUSED, "not_offered")
"""The model was withdrawn after the order."""


async def select_model(run: JobRun) -> Model | Failure | None:
    """The model to submit to, or why there is none; None: one may be back soon."""
    ordered = _ordered(run)
    if ordered is None or not run.context.catalogue.candidates(ordered):
        return NOT_OFFERED
    circuits, soon = run.context.circuits, False
    late: Model | None = None
    for model in _candidates(run, ordered):
        circuit = circuits.of(model.slug)
        if not await _fits(run, model, ordered):
            continue
        if not await _in_time(run, model):
            late = late or model
        elif circuit.available or await _claim(run, model, ordered):
            if model is not ordered:
                run.log.info("model_replaced", ordered=ordered.slug, model=model.slug)
            return model
        else:
            soon = soon or circuit.may_return(circuits.now_us())
    if soon:
        return None
    if late is not None:
        return Failure("overloaded", "no_time_left")
    return Failure(PAUSED, "resting")


async def still_selected(run: JobRun, model: Model) -> bool:
    circuit = run.context.circuits.of(model.slug)
    usable = circuit.available or circuit.probe_job == run.job
    return usable and await _in_time(run, model)


async def has_alternative(run: JobRun, number: int) -> bool:
    """Whether the job may go on at once with another model."""
    ordered, circuits = _ordered(run), run.context.circuits
    for model in _candidates(run, ordered) if ordered else ():
        if model.slug == run.state.submissions[number - 1].model:
            continue
        circuit = circuits.of(model.slug)
        usable = circuit.available or circuit.probe_due(run.job, circuits.now_us())
        if usable and await _fits(run, model, ordered) and await _in_time(run, model):
            return True
    return False


async def report_refused(run: JobRun, number: int, failure: Failure) -> None:
    """Report a refusal to the model's circuit, if its class blames it."""
    model, circuits = run.state.submissions[number - 1].model, run.context.circuits
    paused = policy_for(failure.error_class).pauses_model
    words = " ".join(filter(None, (failure.error_class, failure.code)))
    await retry_forever(
        lambda: circuits.trouble(model, run.job, number, words, account=run.state.account, paused=paused),
        "tell_circuit",
    )


async def report_accepted(run: JobRun, number: int, model: str) -> None:
    await retry_forever(lambda: run.context.circuits.accepted(model, run.job, number), "tell_circuit")


async def report_outcome(run: JobRun) -> None:
    """Report a job's end to the model's circuit: a video, or time running out on the provider."""
    if not run.state.submissions or run.run is None:
        return
    last, circuits = run.state.submissions[-1], run.context.circuits
    if run.state.outcome == "succeeded":
        await retry_forever(lambda: circuits.made(last.model, run.job, last.number), "tell_circuit")
    elif (
        run.state.failure is not None and run.state.failure.error_class == "timeout" and last.failure is None
    ):
        await report_refused(run, last.number, run.state.failure)


async def _claim(run: JobRun, model: Model, ordered: Model) -> bool:
    """Claim the probe: only while another model could still make the video, should it fail."""
    circuits = run.context.circuits
    if not circuits.of(model.slug).probe_due(run.job, circuits.now_us()):
        return False
    probe_s, spare = await _needs_s(run, model), False
    for other in _candidates(run, ordered):
        able = circuits.of(other.slug).available and await _fits(run, other, ordered)
        spare = spare or (able and await _in_time(run, other, probe_s))
    if not spare:
        return False
    return await retry_forever(lambda: circuits.claim_probe(model.slug, run.job), "claim_probe")


def _ordered(run: JobRun) -> Model | None:
    queued = run.state.queued
    return None if queued is None else run.context.catalogue.model(queued.model)


def _candidates(run: JobRun, ordered: Model) -> list[Model]:
    failed = [s for s in run.state.submissions if s.failure]
    refused = {s.model for s in failed if s.failure and policy_for(s.failure.error_class).pauses_model}
    queued = run.state.queued
    asked = (queued.format, queued.seconds) if queued is not None else ()
    candidates = run.context.catalogue.candidates(ordered, *asked)
    return [model for model in candidates if model.slug not in refused]


async def _fits(run: JobRun, model: Model, ordered: Model | None) -> bool:
    """Whether the model takes the job's photo. The one that was ordered was chosen for it."""
    queued = run.state.queued
    if model is ordered or queued is None:
        return True
    if run.photo_size is None:
        try:
            run.photo_size = photo_size(await run.context.blobs.get(queued.photo))
        except (BlobError, OSError) as error:
            run.log.warning("photo_not_measured", error=repr(error))
            return True  # the upload will say what is wrong
    return model.image.take(*run.photo_size)


async def _in_time(run: JobRun, model: Model, after_s: float = 0.0) -> bool:
    """Whether the model, begun in `after_s`, is estimated to meet the deadline."""
    return await _needs_s(run, model) + after_s <= run.left_s() or run.state.queued is None


async def _needs_s(run: JobRun, model: Model) -> float:
    times, queued = run.context.render_times, run.state.queued
    render = times.of(model)
    if not render.measured and queued is not None:
        whole_s = await retry_forever(lambda: times.whole_s(run.job, queued.deadline_at_us), "read_queued_at")
        render = believed(render, whole_s)
    return render.p95_s


def photo_size(data: bytes) -> tuple[int, int, int]:
    """Bytes, and pixels as stored, of a photo from `prepare_photo`. Raises OSError for anything else."""
    with Image.open(io.BytesIO(data)) as image:
        return len(data), image.width, image.height
