"""The prompt: written by OpenAI or from a template, kept before it is recorded.

The text lies under a reference made from the job's id, and the first text kept there stays. So a crash
between keeping and recording neither loses it nor makes a second one.
"""

import asyncio

import asyncpg
import msgspec

from events.job import Failure, JobQueued, PromptSource
from ledger.commands import RecordPrompt
from services.accounts.personal_data import Brief
from services.adapters.openai.errors import OpenAINoAnswerError
from services.generation.catalogue import Model
from services.generation.prompts import scripts, styles, templates
from services.platform.blobs import BlobError
from services.platform.tracing import traced
from services.worker.metrics import PROMPTS
from services.worker.run import JobRun
from services.worker.steps.handle_failure import ERASED, fail
from services.worker.steps.select_model import NOT_OFFERED
from services.worker.store import WrittenPrompt

WRITING_SHARE = 1 / 3
"""Writing may take this part of the time that is left; then the template has to do."""


@traced("prompt")
async def write_prompt(run: JobRun) -> None:
    assert run.run is not None
    ref = f"prompt-{run.job}"
    # Before the first run nobody can have kept one; if a later run has by now, recording ours is refused.
    kept = await run.context.store.prompt(ref) if run.run > 1 else None
    if kept is None:
        written = await _written(run)
        if isinstance(written, Failure):
            return await fail(run, written)
        try:
            await run.context.store.keep_text(run.state.account, msgspec.to_builtins(written), ref)
        except asyncpg.ForeignKeyViolationError:
            return await fail(run, ERASED)
        await run.context.checkpoint("prompt_kept")
        # What another run kept first, if one did.
        kept = await run.context.store.prompt(ref) if run.run > 1 else written
        if kept is None:
            return await fail(run, ERASED)
    command = RecordPrompt(run.job, run.run, ref, kept.source, kept.template, kept.reason)
    if await run.append(command, key=f"prompt:{run.job}:{run.run}"):
        run.prompt_text = kept.prompt
        PROMPTS.labels(kept.source, kept.reason).inc()
        run.log.info(
            "prompt_written",
            source=kept.source,
            template=kept.template,
            reason=kept.reason,
            position=run.position,
        )
        await run.context.checkpoint("prompt_written")
    return None


async def prompt_for(run: JobRun, model: Model) -> str | None:
    """The prompt for `model`; None when its words were erased.

    An alternative may take less text and render longer: the same script, or the seller's words, are put
    together anew for it; the words also when the style's form has changed since. What was written without
    people stays so.
    """
    queued = run.state.queued
    assert queued is not None
    ordered = run.context.catalogue.model(queued.model)
    if ordered is None or model.slug == ordered.slug or run.state.prompt is None:
        return await run.read_prompt()
    kept = await run.context.store.prompt(run.state.prompt.prompt)
    brief = await run.context.store.brief(queued.brief)
    if kept is None or brief is None:
        return None
    frame = _frame(queued, model, ordered.people)
    if kept.script is not None and kept.template == templates.template_name(queued.style):
        return scripts.compose(scripts.script_form(queued.style, frame), kept.script)
    return templates.fallback(queued.style, brief.product, brief.wishes, frame)


async def _written(run: JobRun) -> WrittenPrompt | Failure:
    queued = run.state.queued
    assert queued is not None
    model = run.context.catalogue.model(queued.model)
    if model is None or not run.context.catalogue.candidates(model):
        return NOT_OFFERED
    brief = await run.context.store.brief(queued.brief)
    if brief is None:
        return ERASED
    return await _write(run, brief, queued, _frame(queued, model, model.people))


def _frame(queued: JobQueued, model: Model, people: bool) -> templates.Frame:
    length_s = model.length_for(queued.seconds) or model.duration_s
    return templates.Frame(length_s, model.prompt_chars_max, people, model.sides(queued.format))


async def _write(run: JobRun, brief: Brief, queued: JobQueued, frame: templates.Frame) -> WrittenPrompt:
    style = queued.style
    form, template = scripts.script_form(style, frame), templates.template_name(style)
    try:
        async with asyncio.timeout(max(0.1, run.left_s() * WRITING_SHARE)), run.context.prompts:
            photo = await run.context.blobs.get(queued.photo)
            script = await run.context.writer.write(form, scripts.request(brief.product, brief.wishes), photo)
    except OpenAINoAnswerError as error:
        reason: str = error.reason
        run.log.warning("prompt_not_written", reason=reason)  # its words may be the seller's
    except TimeoutError:
        reason = "timeout"
        run.log.warning("prompt_not_written", reason=reason)
    except (BlobError, OSError) as error:
        reason = "photo"
        run.log.warning("prompt_not_written", reason=reason, detail=repr(error))
    else:
        return WrittenPrompt(scripts.compose(form, script), "openai", template, script=script)
    text = templates.fallback(style, brief.product, brief.wishes, frame)
    own = styles.style_of(style).own_prompt and brief.wishes.strip()
    source: PromptSource = "own" if own else "fallback"
    return WrittenPrompt(text, source, template, reason)
