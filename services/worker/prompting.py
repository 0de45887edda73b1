"""The prompt: written by OpenAI, by a template when that fails, and kept before it is recorded.

The text lies under a reference made from the job's id, and the first text kept there stays. So a crash
between keeping and recording neither loses it nor makes a second one.
"""

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import msgspec
import structlog

from events.job import Failure, PromptSource
from ledger.commands import RecordPrompt
from services.adapters.kie.catalogue import Model
from services.adapters.openai.reasons import NoAnswer
from services.shared import prompts
from services.shared.blobs import BlobError
from services.shared.people import Brief
from services.worker.metrics import PROMPTS

if TYPE_CHECKING:
    from services.worker.run import JobRun

logger = structlog.get_logger()

WRITING_SHARE = 1 / 3
"""Writing may take this part of the time that is left; then the template has to do."""
ERASED = Failure("unclassified", "text_erased", "the seller's text is no longer there")


class WrittenPrompt(msgspec.Struct, frozen=True):
    """The stored text of a prompt; the event repeats all but the words."""

    prompt: str
    source: PromptSource
    template: str
    reason: str = ""


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
        run.log.info("prompt_written", source=kept.source, template=kept.template, reason=kept.reason)
        await run.tools.checkpoint("prompt_written")
    return None


async def prompt_text(run: "JobRun") -> str | None:
    """The words of the recorded prompt; None when there is none, or they were erased."""
    if run.prompt_text is None and run.state.prompt is not None:
        kept = await _kept(run, run.state.prompt.prompt)
        run.prompt_text = kept.prompt if kept is not None else None
    return run.prompt_text


async def _kept(run: "JobRun", ref: str) -> WrittenPrompt | None:
    stored = await run.tools.door.text(ref)
    return None if stored is None else msgspec.json.decode(stored, type=WrittenPrompt)


def not_offered(model: str) -> Failure:
    """The failure of a job whose model was taken out of the catalogue, or paused in it, after the order."""
    return Failure("model_paused", "not_offered", f"{model} is not offered any more")


async def _written(run: "JobRun") -> WrittenPrompt | Failure:
    queued = run.state.queued
    assert queued is not None
    model = run.tools.catalogue.model(queued.model)
    if model is None or not model.enabled:
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
    except NoAnswer as error:
        reason: str = error.reason
        run.log.warning("prompt_not_written", reason=reason, detail=error.detail)
    except TimeoutError:
        reason = "timeout"
        run.log.warning("prompt_not_written", reason=reason)
    except (BlobError, OSError) as error:
        reason = "photo"
        run.log.warning("prompt_not_written", reason=reason, detail=repr(error))
    else:
        return WrittenPrompt(prompts.compose(form, script), "openai", template)
    text = prompts.fallback(style, brief.product, brief.wishes, frame)
    source: PromptSource = "own" if style == "own" and brief.wishes.strip() else "fallback"
    return WrittenPrompt(text, source, template, reason)
