"""Fixtures for every test. Servers start when the first test asks for one; unit tests start none."""

import contextlib
import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog

from services.adapters.telegram.lazy_models import build_when_used
from services.local.postgres import EmbeddedPostgres
from services.local.valkey import EmbeddedValkey
from services.platform.settings import Settings, variable_name
from tests.support import servers
from tests.support.arena import seed
from tests.support.prepared import share_types
from tests.support.services import Services, services_in

build_when_used()  # before a conftest below imports aiogram
share_types()
pytest_plugins = ["tests.support.limits", "tests.support.forked_workers"]
_DATABASES = 10_000


def pytest_configure(config: pytest.Config) -> None:
    """No setting of the person who runs the tests reaches a test."""
    for field in Settings.model_fields:
        os.environ.pop(variable_name(field), None)
    Settings.model_config["env_file"] = None
    # A shell's job in the background ignores Ctrl-C, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    seed.chosen()
    _keep_no_logger()
    _let_properties_take_their_time()


def _let_properties_take_their_time() -> None:
    """An example's time says more about the machine than about the code."""
    import hypothesis

    hypothesis.settings.register_profile(
        "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("patient")


def _keep_no_logger() -> None:
    """Else capture_logs sees nothing of a logger that a former test has used under another configuration."""
    configure = structlog.configure
    structlog.configure = lambda **how: configure(**how | {"cache_logger_on_first_use": False})


def pytest_report_header() -> str:
    return f"chaos: {seed.VARIABLE}={seed.chosen()} brings the same chances again"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests have measured beside."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is there before the first test stays: the collector need not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        servers.end_session(servers.session_pid())


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.SessionPostgres]:
    """The session's Postgres, for tests that need several databases; most want `database_url`."""
    with contextlib.closing(servers.session_postgres()) as server:
        yield server


@pytest.fixture
def database_url(postgres: servers.SessionPostgres) -> Iterator[str]:
    """A fresh, migrated database of this test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: servers.SessionPostgres) -> Iterator[str]:
    """A database without our tables, for tests of the migrations."""
    with postgres.empty_database() as url:
        yield url


@pytest.fixture(scope="session")
def _session_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    with servers.own_valkey(tmp_path_factory.mktemp("valkey"), databases=_DATABASES) as server:
        yield server


_next_database = iter(range(_DATABASES))


@pytest.fixture
def redis_url(_session_valkey: EmbeddedValkey) -> str:
    """A logical database of this test's own, empty; nothing a former test left running can write to it."""
    return _session_valkey.url(next(_next_database))


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A Valkey process of this test's own with its append-only file on: kill it, stop it, start it again."""
    with servers.own_valkey(tmp_path, durable=True) as server:
        yield server


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres process of this test's own, without our tables: kill it, stop it, start it again."""
    with servers.own_postgres(tmp_path) as server:
        yield server


@pytest.fixture
def services(
    tmp_path: Path, database_url: str, redis_url: str, request: pytest.FixtureRequest
) -> Iterator[Services]:
    """Starts services as real processes on this test's databases; a failed test shows their logs."""
    env = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "LOG_FORMAT": "json"}
    with services_in(tmp_path / "services", env) as running:
        yield running
        request.node.add_report_section("teardown", "services", running.logs())
