"""One trace from the tap to the video: spans of every process, made only when somebody wants them.

Nothing travels from process to process. The trace of a job is computed from the job's id (ids.py), so whoever
works on the job adds to the same trace, after any crash, wipe or replay. See docs/observability.md.

Off, which it is without OTEL_EXPORTER_OTLP_ENDPOINT, nothing of OpenTelemetry is imported, and a span costs a
call that returns at once.
"""

import functools
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal, ParamSpec, Protocol, TypeVar

import structlog

from services.platform.no_opentelemetry import let_in
from services.platform.settings import Settings

logger = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")
Value = str | int | float | bool
Attributes = Mapping[str, Value]
Kind = Literal["internal", "server", "client", "producer", "consumer"]
"""As OpenTelemetry has them: who was called, who calls, who hands over to a queue, who takes from one."""


class Span(Protocol):
    """What is known of something while it is done. No texts and no ids of Telegram belong here."""

    def set(self, **ours: Value) -> None:
        """Attributes of our own: `run=3` becomes `neurocards.run`."""

    def note(self, name: str, **ours: Value) -> None:
        """Something that happened at this moment."""

    def fail(self, error_type: str) -> None:
        """It came to nothing; an exception that passes through the span says so by itself."""


class Tracer(Protocol):
    """Makes spans; see the functions of the same names."""

    def span(
        self, name: str, kind: Kind, job: str | None, attributes: Attributes
    ) -> AbstractContextManager[Span]: ...

    def record(
        self, name: str, kind: Kind, job: str, times_ns: tuple[int, int], attributes: Attributes, root: bool
    ) -> None: ...

    def current_ids(self) -> dict[str, str]: ...

    def close(self) -> None: ...


class NoSpan:
    """Stands where nothing is traced."""

    def set(self, **ours: Value) -> None:
        pass

    def note(self, name: str, **ours: Value) -> None:
        pass

    def fail(self, error_type: str) -> None:
        pass


NO_SPAN: Final = nullcontext[Span](NoSpan())
_tracer: Tracer | None = None


def set_up(settings: Settings, service: str) -> None:
    """Trace this process from now on, if the settings say where to. Traces are never worth a failed start."""
    global _tracer  # noqa: PLW0603 - one per process, like its logging
    if settings.otel_exporter_otlp_endpoint is None:
        return
    let_in()
    try:
        from services.platform.tracing.opentelemetry import OpenTelemetryTracer
    except ImportError as error:
        logger.error(
            "traces_off", reason=str(error), hint="install requirements-otel.lock, or neurocards[otel]"
        )
        return
    _tracer = OpenTelemetryTracer(settings, service)


def close() -> None:
    """Send what is left, within a moment."""
    global _tracer  # noqa: PLW0603
    if _tracer is not None:
        _tracer.close()
        _tracer = None


def on() -> bool:
    """Whether spans are made at all: ask before a loop that is only there for them."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    job: str | None = None,
    attributes: Attributes | None = None,
    **ours: Value,
) -> AbstractContextManager[Span]:
    """A span around a block: a child of the one around it, or with `job` a child of the job's root.

    Without either there is no trace it could belong to, and none is made. `attributes` have names of
    OpenTelemetry's conventions, `ours` get their prefix.
    """
    if _tracer is None:
        return NO_SPAN
    return _tracer.span(name, kind, job, _all(job, attributes, ours))


def traced(
    name: str,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """A span around every await of the decorated function, if there is one around that."""

    def decorate(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(work)
        async def in_span(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await work(*args, **kwargs)

        return in_span

    return decorate


def record(
    name: str,
    kind: Kind,
    job: str,
    times_ns: tuple[int, int],
    *,
    root: bool = False,
    attributes: Attributes | None = None,
    **ours: Value,
) -> None:
    """A span of the job's trace that is over, with its begin and end (time.time_ns); see `span`.

    `root`: it is the one that all others hang on.
    """
    if _tracer is not None:
        _tracer.record(name, kind, job, times_ns, _all(job, attributes, ours), root)


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` for a log line; empty outside of spans."""
    return {} if _tracer is None else _tracer.current_ids()


def _all(job: str | None, attributes: Attributes | None, ours: Attributes) -> dict[str, Value]:
    found: dict[str, Value] = {f"neurocards.{name}": value for name, value in ours.items()}
    if job is not None:
        found["neurocards.job"] = job
    return found | dict(attributes or {})
