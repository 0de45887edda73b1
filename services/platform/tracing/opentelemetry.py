"""Spans by OpenTelemetry's SDK, sent as OTLP over HTTP. The only module that imports it.

Spans wait in a bounded queue, and a thread of the SDK sends them; a collector that is slow or away costs
spans and nothing else.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

import structlog
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.util.re import parse_env_headers

from services import __version__
from services.platform.settings import Settings
from services.platform.tracing import NO_SPAN, Attributes, Kind, Span, Value
from services.platform.tracing.ids import JobIds, ids_of

logger = structlog.get_logger()

EXPORT_S: Final = 5.0
EVERY_S: Final = 1.0
CLOSE_S: Final = 2.0
"""So long a process that ends waits for what is left to be sent."""
_TRACES_PATH: Final = "/v1/traces"
_KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}


class OpenTelemetryTracer:
    """The tracer of one process; see services.platform.tracing.Tracer."""

    def __init__(self, settings: Settings, service: str) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # see TellingExporter
        self._sampler = TraceIdRatioBased(settings.otel_traces_sampler_arg)
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ParentBased(self._sampler),
            resource=Resource.create(
                {
                    "service.namespace": "neurocards",
                    "service.name": service,
                    "service.version": __version__,
                    "service.instance.id": settings.instance,
                }
            ),
            shutdown_on_exit=False,
            id_generator=self._ids,
        )
        exporter = TellingExporter(_otlp(settings))
        self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=EVERY_S * 1000))
        self._tracer = self._provider.get_tracer("neurocards", __version__)

    def span(
        self, name: str, kind: Kind, job: str | None, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """A span around a block."""
        if job is None and not trace.get_current_span().get_span_context().is_valid:
            return NO_SPAN
        return self._span(name, kind, None if job is None else self._under(ids_of(job)), attributes)

    @contextmanager
    def _span(
        self, name: str, kind: Kind, parent: context.Context | None, attributes: Attributes
    ) -> Iterator[Span]:
        # Not the exception's words: they may quote an address with a key in it, or the seller.
        with self._tracer.start_as_current_span(
            name,
            parent,
            _KINDS[kind],
            attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            span = _Span(made)
            try:
                yield span
            except Exception as error:
                span.fail(type(error).__name__)
                raise

    def record(
        self, name: str, kind: Kind, job: str, times_ns: tuple[int, int], attributes: Attributes, root: bool
    ) -> None:
        """A span that is over."""
        ids, (began_ns, ended_ns) = ids_of(job), times_ns
        if root:
            self._ids.next = ids
        parent = context.Context() if root else self._under(ids)
        span = self._tracer.start_span(name, parent, _KINDS[kind], attributes, start_time=began_ns)
        span.end(ended_ns)

    def current_ids(self) -> dict[str, str]:
        """The ids of the span around us."""
        here = trace.get_current_span().get_span_context()
        if not here.is_valid:
            return {}
        return {"trace_id": f"{here.trace_id:032x}", "span_id": f"{here.span_id:016x}"}

    def close(self) -> None:
        """Send what is left. The SDK's own way would wait for a silent collector as long as that likes."""
        flush = threading.Thread(target=self._provider.force_flush, name="last-spans", daemon=True)
        flush.start()
        flush.join(CLOSE_S)

    def _under(self, ids: JobIds) -> context.Context:
        """As if the job's root had told us of itself, and of whether its trace is one of those kept."""
        kept = self._sampler.should_sample(None, ids.trace, "").decision is Decision.RECORD_AND_SAMPLE
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if kept else trace.TraceFlags.DEFAULT)
        root = trace.SpanContext(ids.trace, ids.root, is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(root), context.Context())


class _Span:
    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, **ours: Value) -> None:
        self._span.set_attributes(_prefixed(ours))

    def note(self, name: str, **ours: Value) -> None:
        self._span.add_event(name, _prefixed(ours))

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(trace.StatusCode.ERROR)


class _Ids(RandomIdGenerator):
    """Random ids, but for the next root those that follow from its job. Roots are begun in one thread."""

    def __init__(self) -> None:
        self.next: JobIds | None = None

    def generate_trace_id(self) -> int:
        return self.next.trace if self.next is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        ids, self.next = self.next, None
        return ids.root if ids is not None else super().generate_span_id()


class TellingExporter(SpanExporter):
    """Sends spans; says once that they are lost, and once that they arrive again."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        reason = "the collector does not take them"
        try:
            result = self._inner.export(spans)
        except Exception as error:  # whatever it is, it is not worth more than a line
            result, reason = SpanExportResult.FAILURE, type(error).__name__
        if result is not SpanExportResult.SUCCESS:
            if not self._lost:
                logger.warning("traces_not_sent", reason=reason)
            self._lost += len(spans)
        elif self._lost:
            logger.info("traces_sent_again", spans_lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


def _otlp(settings: Settings) -> OTLPSpanExporter:
    secret = settings.otel_exporter_otlp_headers
    return OTLPSpanExporter(
        endpoint=f"{settings.otel_exporter_otlp_endpoint}{_TRACES_PATH}",
        headers=parse_env_headers(secret.get_secret_value(), liberal=True) if secret else {},
        timeout=EXPORT_S,
    )


def _prefixed(ours: Attributes) -> dict[str, Value]:
    return {f"neurocards.{name}": value for name, value in ours.items()}
