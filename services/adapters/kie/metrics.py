"""Latency of KIE's calls, by call and result."""

import functools
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar, cast

from prometheus_client import Histogram

from services.adapters.kie.errors import KieError, KieNotSentError, OutcomeUnknownError
from services.platform import tracing

CALL_SECONDS: Final = Histogram(
    "neurocards_provider_call_seconds",
    "Time to an answer of the video provider, or to giving up on one",
    ["call", "result"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 180),
)

CallT = TypeVar("CallT", bound=Callable[..., Coroutine[Any, Any, Any]])


def measured(call: str) -> Callable[[CallT], CallT]:
    """Decorator: measure and trace every await. Cancelled ones are not counted."""

    def decorate(ask: CallT) -> CallT:
        @functools.wraps(ask)
        async def asked(*args: Any, **kwargs: Any) -> Any:
            began_s = time.monotonic()

            def observe(result: str) -> None:
                CALL_SECONDS.labels(call, result).observe(time.monotonic() - began_s)

            with tracing.span(f"kie {call}", "client") as span:
                try:
                    answer = await ask(*args, **kwargs)
                except KieError as error:
                    observe(result_of(error))
                    span.set_attributes(tracing.ours(error_class=error.failure.error_class))
                    raise
                except Exception:  # our own storage, while fetching
                    observe("error")
                    raise
                observe("ok")
                return answer

        return cast("CallT", asked)

    return decorate


def result_of(error: KieError) -> str:
    match error:
        case KieNotSentError():
            return "not_sent"
        case OutcomeUnknownError():
            return "unknown"
        case _:
            return error.failure.error_class
