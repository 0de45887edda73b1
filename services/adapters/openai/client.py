"""OpenAI calls with circuit breaker, timeout, metrics and one error type."""

import asyncio
import base64
import io
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

import openai
from PIL import Image, ImageOps

from services.adapters.openai.breaker import Breaker
from services.adapters.openai.errors import OpenAINoAnswerError, reason_of
from services.adapters.openai.metrics import CALL_SECONDS, CALLS
from services.platform import tracing
from services.platform.settings import Settings
from services.platform.tls import tls_context
from services.platform.witness import WITNESS

RETRIES_MAX: Final = 1

CallName = Literal["chat", "moderation"]
_CONVENTION: Final = {
    "chat": {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"},
    "moderation": {"gen_ai.operation.name": "moderation", "gen_ai.provider.name": "openai"},
}
Answer = TypeVar("Answer")
Value = TypeVar("Value")


def open_client(settings: Settings) -> openai.AsyncOpenAI:
    """The SDK's client; only the settings, never the environment, decide on a proxy."""
    proxy = settings.openai_proxy
    return openai.AsyncOpenAI(
        api_key=settings.openai_key.get_secret_value(),
        base_url=settings.openai_base,
        timeout=settings.openai_timeout_seconds,
        max_retries=RETRIES_MAX,
        http_client=openai.DefaultAsyncHttpxClient(
            verify=tls_context(),
            proxy=None if proxy is None else proxy.get_secret_value(),
            trust_env=False,
            event_hooks={"response": [WITNESS.hook("openai")]},
        ),
    )


class Caller:
    """Makes calls. `within_s` bounds the whole call: the SDK's timeout restarts with each retry."""

    def __init__(self, call: CallName, within_s: float, breaker: Breaker) -> None:
        self._call: CallName = call
        self._within_s = within_s
        self._breaker = breaker

    async def ask(self, request: Callable[[], Awaitable[Answer]], read: Callable[[Answer], Value]) -> Value:
        """What `read` makes of the answer. Raises OpenAINoAnswerError, as `read` may, and nothing else."""
        try:
            admitted = self._breaker.admit()
        except OpenAINoAnswerError:
            CALLS.labels(self._call, "spared").inc()
            raise
        begun = time.monotonic()
        try:
            with tracing.span(self._call, "client", attributes=_CONVENTION[self._call]):
                async with asyncio.timeout(self._within_s):
                    value = read(await request())
        except asyncio.CancelledError:
            self._breaker.give_back(admitted)
            CALLS.labels(self._call, "cancelled").inc()
            raise
        except Exception as error:
            failure = (
                error
                if isinstance(error, OpenAINoAnswerError)
                else OpenAINoAnswerError(reason_of(error), _words(error))
            )
            self._breaker.report(admitted, failure.reason, failure.detail)
            CALLS.labels(self._call, failure.reason).inc()
            raise failure from error
        finally:
            CALL_SECONDS.labels(self._call).observe(time.monotonic() - begun)
        self._breaker.report(admitted, None)
        CALLS.labels(self._call, "ok").inc()
        return value


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, openai.OpenAIError) else repr(error)


PHOTO_SIDE_PX: Final = 1024


async def picture_of(photo: bytes) -> str:
    """`data_url` in a thread. Raises OpenAINoAnswerError for what is no picture."""
    try:
        return await asyncio.to_thread(data_url, photo)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise OpenAINoAnswerError("photo", str(error)) from error


def data_url(photo: bytes) -> str:
    """Photo as a JPEG data URL, sides at most 1024 px. Blocking. Raises OSError, ValueError."""
    with Image.open(io.BytesIO(photo)) as image:
        image.draft("RGB", (PHOTO_SIDE_PX, PHOTO_SIDE_PX))
        small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((PHOTO_SIDE_PX, PHOTO_SIDE_PX))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode()
