"""Tracing: one trace per job, from tap to video, across processes.

Nothing travels from process to process: a job's trace is computed from its id, so every process adds to the
same one, after any crash, wipe or replay. See docs/observability.md. Without OTEL_EXPORTER_OTLP_ENDPOINT a
span costs a call that returns at once.
"""

import functools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final, Literal, ParamSpec, TypeVar

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, get_current_span

from services.platform.settings import Settings

if TYPE_CHECKING:
    from services.platform.tracing.exporter import Exporter

logger = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")
Value = str | int | float | bool
Attributes = Mapping[str, Value]
Kind = Literal["internal", "server", "client", "producer", "consumer"]
"""As OpenTelemetry has them: who was called, who calls, who hands over to a queue, who takes from one."""

NO_SPAN: Final = nullcontext[Span](INVALID_SPAN)
"""Stands where nothing is traced."""
_exporter: "Exporter | None" = None


def set_up(settings: Settings, service: str) -> None:
    """Start tracing if the settings say where to. Never fails a start."""
    global _exporter  # noqa: PLW0603 - one per process, like its logging
    if settings.otel_exporter_otlp_endpoint is None:
        return
    try:
        from services.platform.tracing.exporter import Exporter
    except ImportError as error:
        logger.error(
            "traces_off", reason=str(error), hint="install requirements-otel.lock, or neurocards[otel]"
        )
        return
    _exporter = Exporter(settings, service)


def close() -> None:
    global _exporter  # noqa: PLW0603
    if _exporter is not None:
        _exporter.close()
        _exporter = None


def on() -> bool:
    """Whether spans are made: ask before a loop only for them."""
    return _exporter is not None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    job: str | None = None,
    attributes: Attributes | None = None,
    **ours: Value,
) -> AbstractContextManager[Span]:
    """Span around a block: child of the current one or of `job`'s root.

    Without either no span is made. `attributes` are OpenTelemetry's conventions, `ours` get our prefix.
    """
    if _exporter is None or (job is None and not get_current_span().get_span_context().is_valid):
        return NO_SPAN
    parent = None if job is None else _exporter.root_of(job)
    return _span(_exporter, name, kind, parent, _all(job, attributes, ours))


@contextmanager
def _span(
    exporter: "Exporter", name: str, kind: Kind, parent: Context | None, attributes: Attributes
) -> Iterator[Span]:
    # Not the exception's words: they may quote an address with a key in it, or the seller.
    with exporter.tracer.start_as_current_span(
        name,
        parent,
        SpanKind[kind.upper()],
        attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise


def traced(
    name: str,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Span around every call of the decorated function within a span."""

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
    """Finished span of the job's trace; times are time.time_ns; see `span`.

    `root`: the one that all others hang on.
    """
    if _exporter is None:
        return
    parent = _exporter.begin_root(job) if root else _exporter.root_of(job)
    began_ns, ended_ns = times_ns
    made = _exporter.tracer.start_span(
        name, parent, SpanKind[kind.upper()], _all(job, attributes, ours), start_time=began_ns
    )
    made.end(ended_ns)


def ours(**values: Value) -> dict[str, Value]:
    """Our attributes: `run=3` becomes `neurocards.run`. No texts and no ids of Telegram."""
    return {f"neurocards.{name}": value for name, value in values.items()}


def current_ids() -> dict[str, str]:
    """`trace_id` and `span_id` for a log line; empty outside of spans."""
    if _exporter is None:
        return {}
    here = get_current_span().get_span_context()
    if not here.is_valid:
        return {}
    return {"trace_id": f"{here.trace_id:032x}", "span_id": f"{here.span_id:016x}"}


def _all(job: str | None, attributes: Attributes | None, values: Attributes) -> dict[str, Value]:
    found = ours(**values)
    if job is not None:
        found["neurocards.job"] = job
    return found | dict(attributes or {})
