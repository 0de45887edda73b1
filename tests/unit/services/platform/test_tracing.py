"""Traces: one per job, computed from its id; a collector that is away costs spans and nothing else."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from structlog.testing import capture_logs

from services.platform import tracing
from services.platform.settings import Settings, load_settings
from services.platform.tracing.exporter import TellingExporter, ids_of
from tests.support.collector import Collector, collecting
from tests.unit.test_architecture import LAYERS, imports, modules, name_of

CONSUMER, CLIENT = 5, 3


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector
        tracing.close()


def settings_for(collector: Collector, **more: object) -> Settings:
    return load_settings(otel_exporter_otlp_endpoint=collector.url, instance_name="w1", **more)


def test_a_job_has_one_trace_everywhere_and_another_job_another() -> None:
    assert ids_of("j1") == ids_of("j1")
    assert not {*ids_of("j1")} & {*ids_of("j2")}
    assert ids_of("j1").trace < 1 << 128 and ids_of("j1").root < 1 << 64


def test_spans_of_several_processes_hang_on_the_root_that_one_of_them_sends(collector: Collector) -> None:
    tracing.set_up(settings_for(collector), "bot")
    now_ns = time.time_ns()
    tracing.record("order", "server", "j1", (now_ns - 5_000, now_ns), root=True, order="o1")
    tracing.close()
    tracing.set_up(settings_for(collector), "worker")
    with (
        tracing.span("process jobs", "consumer", job="j1", attributes={"messaging.system": "redis"}) as run,
        tracing.span("submit"),
        pytest.raises(ValueError),
        tracing.span("kie createTask", "client"),
    ):
        logged = tracing.current_ids()
        run.set_attributes(tracing.ours(run=2))
        raise ValueError("https://user:key@host says: the seller's words")
    tracing.close()

    spans = {span.name: span for span in collector.of(ids_of("j1").trace)}
    assert {(name, span.service) for name, span in spans.items()} == {
        ("order", "bot"), ("process jobs", "worker"), ("submit", "worker"), ("kie createTask", "worker"),
    }  # fmt: skip
    root, run_, submit, call = (spans[name] for name in ("order", "process jobs", "submit", "kie createTask"))
    assert (root.parent, int(root.span, 16)) == ("", ids_of("j1").root)
    assert [run_.parent, submit.parent, call.parent] == [root.span, run_.span, submit.span]
    assert (run_.kind, call.kind) == (CONSUMER, CLIENT)
    assert root.ended_ns == now_ns and root.attributes["neurocards.order"] == "o1"
    assert run_.attributes == {"messaging.system": "redis", "neurocards.job": "j1", "neurocards.run": 2}
    assert logged == {"trace_id": call.trace, "span_id": call.span}
    # Of an exception its type, never its words.
    assert call.failed and call.attributes == {"error.type": "ValueError"} and call.events == ()
    assert not run_.failed


def test_what_belongs_to_no_job_is_not_traced(collector: Collector) -> None:
    tracing.set_up(settings_for(collector), "monitor")
    with tracing.span("kie credit", "client"):
        assert tracing.current_ids() == {}
    tracing.close()
    assert collector.spans == []


def test_a_share_of_jobs_is_the_same_share_in_every_process(collector: Collector) -> None:
    jobs = [f"job-{number}" for number in range(200)]
    for service in ("relay", "worker"):
        tracing.set_up(settings_for(collector, otel_traces_sampler_arg=0.3), service)
        for job in jobs:
            tracing.record("send jobs", "producer", job, (1, 2), root=service == "relay")
            with tracing.span("process jobs", job=job), tracing.span("submit"):
                pass
        tracing.close()
    seen = {job: len(collector.of(ids_of(job).trace)) for job in jobs}
    assert set(seen.values()) == {0, 6}  # all of a job's spans, or none
    assert 20 < sum(map(bool, seen.values())) < 100


def test_a_collector_that_refuses_costs_its_spans(collector: Collector) -> None:
    collector.answer = 400
    with capture_logs() as logs:
        tracing.set_up(settings_for(collector), "worker")
        with tracing.span("process jobs", job="j1"):
            pass
        tracing.close()
    assert [entry["event"] for entry in logs] == ["traces_not_sent"]
    assert collector.headers and collector.spans == []


class Fickle(SpanExporter):
    """Fails, breaks, and works in the end."""

    def __init__(self) -> None:
        self.answers = iter(
            [SpanExportResult.FAILURE, None, SpanExportResult.SUCCESS, SpanExportResult.SUCCESS]
        )

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        answer = next(self.answers)
        if answer is None:
            raise OSError("connection to http://user:key@collector refused")
        return answer


def test_lost_spans_are_told_once_and_once_that_it_is_over() -> None:
    exporter = TellingExporter(Fickle())
    with capture_logs() as logs:
        for spans in (2, 3, 1, 1):
            exporter.export([ReadableSpan("submit")] * spans)
    assert [(entry["event"], entry.get("spans_lost")) for entry in logs] == [
        ("traces_not_sent", None), ("traces_sent_again", 5),
    ]  # fmt: skip
    assert "key" not in str(logs)


def test_the_collector_gets_the_headers_that_were_set(collector: Collector) -> None:
    tracing.set_up(settings_for(collector, otel_exporter_otlp_headers="x-key=a%20b,x-tenant=t"), "relay")
    tracing.record("send jobs", "producer", "j1", (1, 2))
    tracing.close()
    (headers,) = collector.headers
    assert (headers["x-key"], headers["x-tenant"]) == ("a b", "t")


def test_nothing_of_the_sdk_is_imported_before_somebody_wants_traces() -> None:
    exporter = "services.platform.tracing.exporter"
    found = {
        (name_of(path), module)
        for path in modules(*LAYERS)
        for module, _ in imports(path)
        if module.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) and name_of(path) != exporter
    }
    assert found == set()
    runs_it = "import sys, services.platform.tracing; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", runs_it], check=False).returncode == 0
