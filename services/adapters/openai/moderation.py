"""OpenAI moderation of sellers' texts and photos."""

from collections.abc import Sequence
from typing import Final, Literal

import openai
from openai.types import Moderation, ModerationCreateResponse, ModerationImageURLInputParam

from services.adapters.openai.breaker import Breaker
from services.adapters.openai.client import Caller, open_client, picture_of
from services.adapters.openai.errors import OpenAINoAnswerError
from services.platform.settings import Settings

WITHIN_S: Final = 5.0
"""A person waits for it."""

Kind = Literal["insult", "hate", "illegal", "self_harm", "sexual", "minors", "violence", "other"]
Kinds = tuple[Kind, ...]
"""What is wrong with one text or photo, each kind once; empty: nothing."""

_KIND_OF: Final[dict[str, Kind]] = {
    "harassment": "insult",
    "harassment/threatening": "insult",
    "hate": "hate",
    "hate/threatening": "hate",
    "illicit": "illegal",
    "illicit/violent": "illegal",
    "self-harm": "self_harm",
    "self-harm/intent": "self_harm",
    "self-harm/instructions": "self_harm",
    "sexual": "sexual",
    "sexual/minors": "minors",
    "violence": "violence",
    "violence/graphic": "violence",
}


class Moderator:
    """Moderates texts and photos. One per process; `close` it at the end."""

    def __init__(self, settings: Settings, breaker: Breaker | None = None) -> None:
        self._client = open_client(settings)
        self._model = settings.openai_moderation_model
        self._caller = Caller("moderation", WITHIN_S, breaker or Breaker())

    async def close(self) -> None:
        await self._client.close()

    async def texts(self, texts: Sequence[str]) -> list[Kinds]:
        """A judgement for each text, in order. Raises OpenAINoAnswerError."""
        return await self._caller.ask(
            lambda: self._client.moderations.create(model=self._model, input=list(texts)),
            lambda answer: judgements(answer, len(texts)),
        )

    async def photo(self, photo: bytes) -> Kinds:
        """Moderate a photo. Raises OpenAINoAnswerError."""
        picture = await picture_of(photo)
        part: ModerationImageURLInputParam = {"type": "image_url", "image_url": {"url": picture}}
        found = await self._caller.ask(
            lambda: self._client.moderations.create(model=self._model, input=[part]),
            lambda answer: judgements(answer, 1),
        )
        return found[0]


def judgements(answer: ModerationCreateResponse, number: int) -> list[Kinds]:
    """Parse `number` judgements. Raises OpenAINoAnswerError for an answer of another shape."""
    results = getattr(answer, "results", None)  # a proxy's page parses into an object without any
    if not isinstance(results, list) or len(results) != number:
        raise OpenAINoAnswerError("bad_answer", "not one result for each input")
    return [_kinds(result) for result in results]


def _kinds(result: object) -> Kinds:
    if not isinstance(result, Moderation) or not isinstance(getattr(result, "flagged", None), bool):
        raise OpenAINoAnswerError("bad_answer", "a result without `flagged`")
    if not result.flagged:
        return ()
    categories = getattr(result, "categories", None)
    marked = categories.model_dump(by_alias=True) if isinstance(categories, openai.BaseModel) else {}
    kinds = {_KIND_OF.get(name, "other") for name, is_so in marked.items() if is_so is True}
    return tuple(sorted(kinds)) or ("other",)
