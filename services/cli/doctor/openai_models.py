"""OpenAI's models: whether the configured ones are there, and for how long."""

from datetime import UTC, date, datetime

from services.cli.doctor.check import Check, fail, ok, warn
from services.platform.settings import Settings, variable_name

_AFTERWARDS = {
    "openai_model": "afterwards every prompt is the template",
    "openai_moderation_model": "afterwards orders are not judged",
}


async def check_models(settings: Settings) -> list[Check]:
    """One check for each model in use; none while OpenAI is the sandbox."""
    from services.adapters.openai.client import open_client
    from services.adapters.openai.errors import OpenAINoAnswerError
    from services.adapters.openai.models import end_of, models_in_use

    if settings.uses_sandbox_for("openai"):
        return []
    today, checks = datetime.now(UTC).date(), []
    async with open_client(settings) as client:
        for field, model in models_in_use(settings).items():
            try:
                checks.append(judged(field, model, await end_of(client, model, today), today))
            except OpenAINoAnswerError as error:
                checks.append(ok(variable_name(field), f"{model}: when it ends is not told ({error.reason})"))
    return checks


def judged(field: str, model: str, end: date | None, today: date) -> Check:
    """What an end, None for no announced one, means today."""
    from services.adapters.openai.models import SOON_DAYS

    name = variable_name(field)
    advice = f"set {name} to the successor that OpenAI names (docs/generation.md); {_AFTERWARDS[field]}"
    if end is None:
        return ok(name, f"{model}: no end is announced")
    days = (end - today).days
    if days <= 0:
        return fail(name, f"{model} is not there: it has left OpenAI's API, or never was in it", advice)
    found = f"{model} leaves OpenAI's API on {end}, in {days} days"
    return warn(name, found, advice) if days <= SOON_DAYS else ok(name, found)
