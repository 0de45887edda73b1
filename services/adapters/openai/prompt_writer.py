"""Scripts written by OpenAI from the photo and the seller's words."""

from typing import Final, Literal

import openai
from openai.types.chat import ChatCompletion

from services.adapters.openai.breaker import Breaker
from services.adapters.openai.client import RETRIES_MAX, Caller, open_client, picture_of
from services.adapters.openai.errors import OpenAINoAnswerError
from services.adapters.openai.models import can_leave_off_thinking
from services.generation.prompts.scripts import Script, ScriptError, ScriptForm, read_script
from services.platform.settings import Settings

ANSWER_TOKENS_MAX: Final = 4000
"""A script takes a tenth. The rest is for hidden thoughts, which count too, where they cannot be left off."""


class ScriptWriter:
    """Asks for scripts. One per process; `close` it at the end."""

    def __init__(self, settings: Settings, breaker: Breaker | None = None) -> None:
        self._client = open_client(settings)
        self._model = settings.openai_model
        self._effort: Literal["none"] | openai.Omit = (
            "none" if can_leave_off_thinking(self._model) else openai.omit
        )
        within_s = settings.openai_timeout_seconds * (RETRIES_MAX + 1)
        self._caller = Caller("chat", within_s, breaker or Breaker())

    async def close(self) -> None:
        await self._client.close()

    async def write(self, form: ScriptForm, request: str, photo: bytes) -> Script:
        """The filled-in form. Raises OpenAINoAnswerError and nothing else."""
        picture = await picture_of(photo)
        return await self._caller.ask(
            lambda: self._client.chat.completions.create(
                model=self._model,
                messages=[
                    {"role": "system", "content": form.instructions},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": request},
                            {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
                        ],
                    },
                ],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "script", "strict": True, "schema": form.schema},
                },
                max_completion_tokens=ANSWER_TOKENS_MAX,
                reasoning_effort=self._effort,
            ),
            lambda answer: script_of(answer, form),
        )


def script_of(answer: ChatCompletion, form: ScriptForm) -> Script:
    """Parse the script. Raises OpenAINoAnswerError for a refusal, a cut or an invalid answer."""
    choices = getattr(answer, "choices", None)  # a proxy's page parses into an object without any
    if not choices:
        raise OpenAINoAnswerError("bad_answer", "no choices")
    message, finish = choices[0].message, choices[0].finish_reason
    if message.refusal or finish == "content_filter":
        raise OpenAINoAnswerError("refused", message.refusal or finish)
    if finish != "stop":
        raise OpenAINoAnswerError("bad_answer", f"finished by {finish}")
    try:
        return read_script(form, message.content or "")
    except ScriptError as error:
        raise OpenAINoAnswerError("bad_answer", str(error)) from error
