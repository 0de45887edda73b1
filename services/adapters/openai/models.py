"""OpenAI's models: which reason before answering, and when each is retired."""

import asyncio
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Final

import openai
import structlog
from openai.types import Model

from services.adapters.openai.client import open_client
from services.adapters.openai.errors import OpenAINoAnswerError, reason_of
from services.adapters.openai.metrics import MODEL_END
from services.platform.settings import Settings

logger = structlog.get_logger()

SOON_DAYS: Final = 60
"""An end so near is worth a warning; OpenAI announces it three months before, or later."""
WITHIN_S: Final = 10.0
EVERY_S: Final = 3600.0
_CAN_LEAVE_OFF: Final = re.compile(r"(?:^|[/:])gpt-(?:5\.[1-9]|[6-9]|1\d)(?!\d)(?!.*-chat)")


def can_leave_off_thinking(model: str) -> bool:
    """Whether `reasoning_effort="none"` is taken: GPT-5.1 and later, also fine-tuned or by a proxy."""
    return _CAN_LEAVE_OFF.search(model) is not None


def models_in_use(settings: Settings) -> dict[str, str]:
    fields = ["openai_model"] + (["openai_moderation_model"] if settings.moderation != "off" else [])
    return {field: getattr(settings, field) for field in fields}


async def end_of(client: openai.AsyncOpenAI, model: str, today: date) -> date | None:
    """The day a model is retired; `today` if missing, None if not announced. Raises OpenAINoAnswerError."""
    try:
        async with asyncio.timeout(WITHIN_S):
            found = await client.models.retrieve(model)
        if not isinstance(found, Model):
            raise OpenAINoAnswerError("bad_answer", "no model")
        return None if found.shutdown_date is None else date.fromisoformat(found.shutdown_date)
    except OpenAINoAnswerError:
        raise
    except Exception as error:
        if isinstance(error, openai.NotFoundError) and error.code == "model_not_found":
            return today
        raise OpenAINoAnswerError(reason_of(error), str(error)) from error


class ModelEnds:
    """Gauge and warning of models' retirement. One per process; `close` it at the end."""

    def __init__(self, settings: Settings) -> None:
        self._client = open_client(settings)
        self._models: Iterable[str] = models_in_use(settings).values()

    async def close(self) -> None:
        await self._client.close()

    async def measure(self) -> int:
        """Ask for each model; without an answer the last value stays."""
        today = datetime.now(UTC).date()
        for model in self._models:
            try:
                end = await end_of(self._client, model, today)
            except OpenAINoAnswerError as error:
                logger.info("openai_model_end_unknown", model=model, reason=error.reason, detail=error.detail)
                continue
            MODEL_END.labels(model).set(datetime.combine(end, time(), UTC).timestamp() if end else 0)
            if end is not None and (end - today).days <= SOON_DAYS:
                logger.warning("openai_model_ends", model=model, on=str(end), in_days=(end - today).days)
        return 0
