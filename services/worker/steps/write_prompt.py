"""The prompt: written by OpenAI, by a template when that fails, and kept before it is recorded.

The text lies under a reference made from the job's id, and the first text kept there stays. So a crash
between keeping and recording neither loses it nor makes a second one.
"""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from events.job import Failure, PromptSource
from ledger.commands import RecordPrompt
from services.accounts.personal_data import Brief
from services.adapters.openai.errors import OpenAINoAnswerError
from services.generation import prompts
from services.generation.catalogue import Model
from services.platform.blobs import BlobError
from services.platform.scrub import scrub
from services.platform.tracing import traced
from services.worker.metrics import PROMPTS
from services.worker.steps.select_model import not_offered

if TYPE_CHECKING:
    from services.worker.run import JobRun

WRITING_SHARE = 1 / 3
"""Writing may take this part of the time that is left; then the template has to do."""
ERASED = Failure("unclassified", "text_erased", "the seller's text is no longer there")


class WrittenPrompt(msgspec.Struct, frozen=True):
    """The stored text of a prompt; the event repeats all but the words.

    `prompt` is for the model that was ordered, `script` what the writing model answered: out of it the prompt
    for an alternative is made.
    """

    prompt: str
    source: PromptSource
    template: str
    reason: str = ""
    script: prompts.Script | None = None


@traced("prompt")
async def write_prompt(run: "JobRun") -> None:
    """Write, keep and record the prompt; or fail the job when there is nothing to make it of."""
    assert run.run is not None
    ref = f"prompt-{run.job}"
    # Before the first run nobody can have kept one; if a later run has by now, recording ours is refused.
    kept = await _kept(run, ref) if run.run > 1 else None
    if kept is None:
        written = await _written(run)
        if isinstance(written, Failure):
            return await run.fail(written)
        try:
            await run.tools.door.keep_text(run.state.account, msgspec.to_builtins(written), ref)
        except asyncpg.ForeignKeyViolationError:
            return await run.fail(ERASED)
        await run.tools.checkpoint("prompt_kept")
        kept = await _kept(run, ref) if run.run > 1 else written  # what another run kept first, if one did
        if kept is None:
            return await run.fail(ERASED)
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
        await run.tools.checkpoint("prompt_written")
    return None


async def prompt_text(run: "JobRun") -> str | None:
    """The words of the recorded prompt; None when there is none, or they were erased."""
    if run.prompt_text is None and run.state.prompt is not None:
        kept = await _kept(run, run.state.prompt.prompt)
        run.prompt_text = kept.prompt if kept is not None else None
    return run.prompt_text


async def prompt_for(run: "JobRun", model: Model) -> str | None:
    """The prompt in the form that `model` takes; None when its words were erased.

    An alternative may take less text and render longer: the same script, or the seller's words, are put
    together anew for it; the words also when the style's form has changed since. What was written without
    people stays without, and has none added.
    """
    queued = run.state.queued
    assert queued is not None
    ordered = run.tools.catalogue.model(queued.model)
    if ordered is None or model.slug == ordered.slug or run.state.prompt is None:
        return await prompt_text(run)
    kept = await _kept(run, run.state.prompt.prompt)
    brief = await run.tools.door.brief(queued.brief)
    if kept is None or brief is None:
        return None
    frame = prompts.Frame(model.duration_s, model.prompt_chars_max, ordered.people)
    if kept.script is not None and kept.template == prompts.template_name(queued.style):
        return prompts.compose(prompts.script_form(queued.style, frame), kept.script)
    return prompts.fallback(queued.style, brief.product, brief.wishes, frame)


async def _kept(run: "JobRun", ref: str) -> WrittenPrompt | None:
    stored = await run.tools.door.text(ref)
    return None if stored is None else msgspec.json.decode(stored, type=WrittenPrompt)


async def _written(run: "JobRun") -> WrittenPrompt | Failure:
    queued = run.state.queued
    assert queued is not None
    model = run.tools.catalogue.model(queued.model)
    if model is None or not run.tools.catalogue.candidates(model):
        return not_offered(queued.model)
    brief = await run.tools.door.brief(queued.brief)
    if brief is None:
        return ERASED
    return await _write(run, brief, model, queued.style, queued.photo)


async def _write(run: "JobRun", brief: Brief, model: Model, style: str, photo_key: str) -> WrittenPrompt:
    frame = prompts.Frame(model.duration_s, model.prompt_chars_max, model.people)
    form, template = prompts.script_form(style, frame), prompts.template_name(style)
    try:
        async with asyncio.timeout(max(0.1, run.left_s() * WRITING_SHARE)), run.tools.prompts:
            photo = await run.tools.blobs.get(photo_key)
            script = await run.tools.writer.write(form, prompts.request(brief.product, brief.wishes), photo)
    except OpenAINoAnswerError as error:
        reason: str = error.reason
        run.log.warning(
            "prompt_not_written", reason=reason, detail=scrub(error.detail, [brief.product, brief.wishes])
        )
    except TimeoutError:
        reason = "timeout"
        run.log.warning("prompt_not_written", reason=reason)
    except (BlobError, OSError) as error:
        reason = "photo"
        run.log.warning("prompt_not_written", reason=reason, detail=repr(error))
    else:
        return WrittenPrompt(prompts.compose(form, script), "openai", template, script=script)
    text = prompts.fallback(style, brief.product, brief.wishes, frame)
    source: PromptSource = "own" if style == "own" and brief.wishes.strip() else "fallback"
    return WrittenPrompt(text, source, template, reason)
