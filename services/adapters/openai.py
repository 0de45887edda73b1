"""OpenAI writes the prompts: the product's photo and the seller's words in, a filled-in script out.

A job never fails because of OpenAI. Whatever goes wrong is one typed error with a reason in a word or two,
and the caller takes a template instead. After errors that time alone does not heal (quota, key, region) the
breaker answers at once for a while, so that every job does not wait for the same refusal.
"""

import asyncio
import base64
import io
import time
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec
import openai
import structlog
from openai.types.chat import ChatCompletion
from PIL import Image, ImageOps

from events.errors import NeurocardsError
from services.shared.prompts import Script
from services.shared.settings import Settings

logger = structlog.get_logger()

TIMEOUT_S: Final = 25.0
RETRIES_MAX: Final = 1
BREAK_S: Final = 600.0
PHOTO_SIDE_PX: Final = 1024
ANSWER_TOKENS_MAX: Final = 1200
FIELD_CHARS_MAX: Final = 4000

Reason = Literal[
    "quota", "auth", "region", "rate_limited", "refused", "bad_request", "bad_answer", "timeout",
    "unavailable", "photo",
]  # fmt: skip
_LASTING: Final[frozenset[Reason]] = frozenset({"quota", "auth", "region"})

_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in Script.__struct_fields__},
    "required": list(Script.__struct_fields__),
    "additionalProperties": False,
}


class ScriptError(NeurocardsError):
    """OpenAI gave no script. `reason` is fit for an event; `detail` is its own words, for the log."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"no script from OpenAI: {reason} {detail}".strip())
        self.reason: Reason = reason
        self.detail = detail[:300]


class Breaker:
    """Open for `break_s` after a lasting error: calls are spared. In this process only."""

    def __init__(self, break_s: float = BREAK_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._break_s = break_s
        self._clock = clock
        self._reason: Reason | None = None
        self._until = 0.0

    @property
    def reason(self) -> Reason | None:
        """Why calls are spared now; None when they are not."""
        return self._reason if self._clock() < self._until else None

    def trip(self, reason: Reason) -> None:
        self._reason = reason
        self._until = self._clock() + self._break_s


class ScriptWriter:
    """Asks for scripts. One per process; `close` it at the end."""

    def __init__(self, settings: Settings, breaker: Breaker | None = None) -> None:
        self._client = openai.AsyncOpenAI(
            api_key=settings.openai_key.get_secret_value(),
            base_url=settings.openai_base,
            timeout=TIMEOUT_S,
            max_retries=RETRIES_MAX,
        )
        self._model = settings.openai_model
        self._breaker = breaker or Breaker()

    async def close(self) -> None:
        await self._client.close()

    async def write(self, instructions: str, request: str, photo: bytes) -> Script:
        """The script for one product. Raises ScriptError, and nothing else, whatever happens."""
        if (spared := self._breaker.reason) is not None:
            raise ScriptError(spared, "asked in vain a while ago")
        try:
            return await self._write(instructions, request, photo)
        except ScriptError as error:
            if error.reason in _LASTING:
                self._breaker.trip(error.reason)
                logger.error("openai_unusable", reason=error.reason, detail=error.detail)
            raise

    async def _write(self, instructions: str, request: str, photo: bytes) -> Script:
        try:
            picture = await asyncio.to_thread(data_url, photo)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ScriptError("photo", str(error)) from error
        try:
            # The SDK's timeout starts anew with every retry and every chunk; this one does not.
            async with asyncio.timeout(TIMEOUT_S * (RETRIES_MAX + 1)):
                answer = await self._client.chat.completions.create(
                    model=self._model,
                    messages=[
                        {"role": "system", "content": instructions},
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
                        "json_schema": {"name": "script", "strict": True, "schema": _SCHEMA},
                    },
                    max_completion_tokens=ANSWER_TOKENS_MAX,
                )
        except (openai.OpenAIError, TimeoutError) as error:
            raise ScriptError(reason_of(error), str(error)) from error
        except Exception as error:  # an HTML page or a half JSON surfaces as whatever the SDK stumbled over
            raise ScriptError("bad_answer", repr(error)) from error
        return script_of(answer)


def script_of(answer: ChatCompletion) -> Script:
    """The script in an answer. Raises ScriptError for a refusal, a cut answer, or one of another shape."""
    choices = getattr(answer, "choices", None)  # a proxy's page parses into an object without any
    if not choices:
        raise ScriptError("bad_answer", "no choices")
    message, finish = choices[0].message, choices[0].finish_reason
    if message.refusal or finish == "content_filter":
        raise ScriptError("refused", message.refusal or finish)
    if finish != "stop":
        raise ScriptError("bad_answer", f"finished by {finish}")
    try:
        script = msgspec.json.decode(message.content or "", type=Script)
    except msgspec.DecodeError as error:
        raise ScriptError("bad_answer", str(error)) from error
    texts = msgspec.structs.astuple(script)
    if not script.action.strip() or not script.product.strip() or max(map(len, texts)) > FIELD_CHARS_MAX:
        raise ScriptError("bad_answer", "empty or endless fields")
    return script


def reason_of(error: Exception) -> Reason:
    """The reason behind one of the SDK's errors."""
    code = getattr(error, "code", None)
    match error:
        case openai.RateLimitError():
            return "quota" if code == "insufficient_quota" else "rate_limited"
        case openai.AuthenticationError():
            return "auth"
        case openai.PermissionDeniedError():
            return "region" if code == "unsupported_country_region_territory" else "auth"
        case openai.BadRequestError():
            return "refused" if code == "content_policy_violation" else "bad_request"
        case openai.APITimeoutError() | TimeoutError():
            return "timeout"
        case openai.InternalServerError() | openai.APIConnectionError():
            return "unavailable"
        case openai.APIStatusError():
            return "bad_request"
        case _:
            return "bad_answer"


def data_url(photo: bytes) -> str:
    """The photo as a JPEG of at most 1024 px a side, in a data URL. Blocking. Raises OSError, ValueError."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (PHOTO_SIDE_PX, PHOTO_SIDE_PX))
        small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((PHOTO_SIDE_PX, PHOTO_SIDE_PX))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
