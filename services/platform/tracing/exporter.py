"""OTLP span exporter over HTTP; only here OpenTelemetry's SDK is imported.

Spans wait in a bounded queue for a thread of the SDK; a slow or absent collector costs spans only.
"""

import logging
import threading
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.util.re import parse_env_headers

from services import __version__
from services.platform.settings import Settings

logger = structlog.get_logger()

EXPORT_S: Final = 5.0
EVERY_S: Final = 1.0
CLOSE_S: Final = 2.0
"""So long a process that ends waits for what is left to be sent."""
_TRACES_PATH: Final = "/v1/traces"


class JobIds(NamedTuple):
    """OpenTelemetry ids: trace (128 bits), root span (64 bits), above 0."""

    trace: int
    root: int


def ids_of(job: str) -> JobIds:
    """Trace ids of a job, the same in every process and replay."""
    digest = sha256(b"neurocards trace\0" + job.encode()).digest()
    return JobIds(int.from_bytes(digest[:16], "big") or 1, int.from_bytes(digest[16:24], "big") or 1)


class Exporter:
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
        self.tracer = self._provider.get_tracer("neurocards", __version__)

    def begin_root(self, job: str) -> Context:
        """Context of a job's root: the next parentless span gets its ids."""
        self._ids.next = ids_of(job)
        return Context()

    def root_of(self, job: str) -> Context:
        """Parent context of the job's root, with the sampler's decision."""
        ids = ids_of(job)
        kept = self._sampler.should_sample(None, ids.trace, "").decision is Decision.RECORD_AND_SAMPLE
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if kept else trace.TraceFlags.DEFAULT)
        root = trace.SpanContext(ids.trace, ids.root, is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(root), Context())

    def close(self) -> None:
        """Flush. The SDK's own way would wait for a silent collector without limit."""
        flush = threading.Thread(target=self._provider.force_flush, name="last-spans", daemon=True)
        flush.start()
        flush.join(CLOSE_S)


class _Ids(RandomIdGenerator):
    """Random ids, except for job roots, which are begun in one thread."""

    def __init__(self) -> None:
        self.next: JobIds | None = None

    def generate_trace_id(self) -> int:
        return self.next.trace if self.next is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        ids, self.next = self.next, None
        return ids.root if ids is not None else super().generate_span_id()


class TellingExporter(SpanExporter):
    """Sends spans; logs once each that they are lost, and arrive again."""

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
