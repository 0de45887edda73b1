"""What every process does alike: ready, healthy, stopped, failed."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.services import ServiceProcess, Services
from tests.support.waiting import eventually_now

FAKE = "tests.support.fake_service"
Start = Callable[..., ServiceProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[ServiceProcess] = []

    def start(mode: str, *, wait_s: float | None = 20) -> ServiceProcess:
        command = [sys.executable, "-m", FAKE, mode]
        process = ServiceProcess(mode, tmp_path, {"LOG_FORMAT": "json"}, command=command, module=FAKE)
        started.append(process)
        return process.start(wait_s=wait_s)

    yield start
    for process in started:
        process.kill()


def ended(process: ServiceProcess) -> int:
    eventually_now(lambda: not process.running, what=f"{process.name} to end")
    assert process.exit_code is not None
    return process.exit_code


def test_a_process_tells_its_health_and_ends_when_asked(start: Start) -> None:
    process = start("good")
    assert process.facts["pid"] == process.pid
    assert httpx.get(f"{process.health_url}/health/live", timeout=60).status_code == 200
    ready = process.health()
    assert (ready.status_code, ready.json()) == (200, {"started": "ok", "nothing": "ok"})
    assert "python_info" in httpx.get(f"{process.health_url}/metrics", timeout=60).text
    status = httpx.get(f"{process.health_url}/health/status", timeout=60).json()
    assert status.pop("up_s") >= 0
    assert status == {"service": "fake", "pid": process.pid, "state": "ready"}
    assert process.stop() == 0
    assert "service_stopped" in process.log


def test_a_failing_check_makes_it_unready_and_is_named(start: Start) -> None:
    answer = start("unhealthy").health()
    assert answer.status_code == 503
    assert answer.json() == {"started": "ok", "nothing": "ok", "broken": "ValueError"}


def test_a_process_that_has_not_started_is_alive_and_not_ready(start: Start) -> None:
    process = start("never-ready", wait_s=None)
    eventually_now(lambda: process.facts.get("health_url"))
    assert httpx.get(f"{process.health_url}/health/live", timeout=60).status_code == 200
    assert process.health().status_code == 503
    assert httpx.get(f"{process.health_url}/health/status", timeout=60).json()["state"] == "starting"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_either_signal_stops(start: Start, signum: signal.Signals) -> None:
    process = start("good")
    process.signal(signum)
    assert ended(process) == 0


def test_a_hangup_is_no_impatience(start: Start) -> None:
    process = start("task-hangs")
    process.signal(signal.SIGTERM)
    eventually_now(lambda: "stopping" in process.log)
    process.signal(signal.SIGHUP)
    assert ended(process) == 0
    assert "stopped_at_once" not in process.log and process.log.count('"stopping"') == 2


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    process = start("task-hangs")
    process.signal(signal.SIGTERM)
    eventually_now(lambda: "stopping" in process.log)
    assert httpx.get(f"{process.health_url}/health/status", timeout=60).json()["state"] == "stopping"
    process.signal(signal.SIGTERM)
    assert ended(process) == 128 + signal.SIGTERM


def test_a_hanging_task_does_not_stop_it_from_stopping(start: Start) -> None:
    process = start("task-hangs")
    assert process.stop() == 0
    assert "task_cancelled" in process.log


@pytest.mark.slow
def test_a_stop_that_hangs_is_over_in_time_all_the_same(start: Start) -> None:
    """What is left to do waits for something that does not come; not even a second signal is heard."""
    process = start("stop-hangs")
    process.signal(signal.SIGTERM)
    eventually_now(lambda: "waited" in process.log, what="it hangs")
    process.signal(signal.SIGTERM)
    assert ended(process) == 1
    assert "stop_overdue" in process.log


def test_a_failing_task_ends_the_process_and_its_error_is_logged_once(start: Start) -> None:
    process = start("task-fails", wait_s=None)
    assert ended(process) == 1
    assert process.log.count("Traceback") == 1
    assert "a fault on purpose" in process.log and "doomed" in process.log


def test_a_task_that_just_ends_is_a_failure_unless_it_may(start: Start) -> None:
    process = start("task-ends", wait_s=None)
    assert ended(process) == 1
    assert "task short ended by itself" in process.log
    assert start("task-may-end").stop() == 0


def test_errors_on_purpose_are_one_line_and_an_exit_code(start: Start) -> None:
    wrong = start("settings", wait_s=None)
    assert ended(wrong) == 2
    assert "SOME_SETTING: is not right" in wrong.log and "Traceback" not in wrong.log
    missing = start("cannot-start", wait_s=None)
    assert ended(missing) == 1
    assert "install it" in missing.log and "Traceback" not in missing.log


@pytest.mark.slow
def test_a_process_whose_loop_stands_still_ends_and_says_where_it_stood(start: Start) -> None:
    """With a patience of 1.5 s. One that was stopped for longer, and goes on, does not end."""
    stopped, stalled = start("watched"), start("loop-stalls")
    stopped.signal(signal.SIGSTOP)
    assert stalled.wait_ended(60) == 70
    assert "in _stall" in stalled.log and "loop_stalled" in stalled.log
    time.sleep(2)
    stopped.signal(signal.SIGCONT)
    time.sleep(0.5)
    assert httpx.get(f"{stopped.health_url}/health/live", timeout=60).status_code == 200
    assert stopped.stop() == 0


@pytest.mark.slow
def test_a_process_ends_with_its_starter_even_when_its_loop_hangs(start: Start) -> None:
    good, hanging = start("good"), start("loop-hangs")
    for process in (good, hanging):
        process._let_go()  # what the system does when the starter is killed
    eventually_now(lambda: not good.running, what="the process to end")
    eventually_now(lambda: not hanging.running, what="the hanging process to end")


@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:9"])
def test_spans_are_exported_only_when_traces_are_on(services: Services, endpoint: str) -> None:
    """What sends them is not even loaded, in a process that has imported all services."""
    module = "tests.support.loaded_modules"
    process = services.start("fake", module=module, wait_s=None, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert process.wait_ended(60) == 0
    assert ("opentelemetry.exporter" in process.log.partition("loaded:")[2]) == bool(endpoint)
