"""Fixtures for tests that play on a whole running system; a conftest.py imports them."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from services.rehearsal.chat_client import open_http
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.system import Stack
from tests.support import fork_server
from tests.support.collector import Collector, collecting
from tests.support.playing import CREDITS, DEADLINE_S, PLANTED, Play, told
from tests.support.servers import short_folder


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the stack's traces go."""
    with collecting() as collector:
        yield collector


class ForkedStack(Stack):
    """A system whose processes are forked from one that has imported everything."""

    def _launch(self) -> None:
        reader, self._lifeline = os.pipe()
        try:
            with self.log_path.open("ab") as log:
                server = str(fork_server.session())
                words = ("tests.support.forking_up", server, "up", "--workers", str(self.workers))
                self._process = fork_server.start(  # type: ignore[assignment]
                    *words, cwd=self.folder, env=self._environment(), out=log, err=log, lifeline=reader
                )
        finally:
            os.close(reader)


@pytest.fixture(scope="session")
def stack(collector: Collector) -> Iterator[Stack]:
    """One `neurocards up` for all tests of this process."""
    # Not in pytest's own folder: every pytest that starts closes that to Postgres's user.
    with short_folder() as folder:
        settings: dict[str, Any] = {
            "FREE_CREDITS": CREDITS,
            "JOB_DEADLINE_SECONDS": DEADLINE_S,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            **PLANTED,
        }
        running = ForkedStack(folder, **settings)
        asyncio.run(running.start())
        try:
            yield running
        finally:
            asyncio.run(running.stop())


@pytest.fixture
async def play(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Play]:
    """Sellers and reads for one test. A failed test shows its jobs' stories and the services' logs."""
    async with open_http(60) as http, LogWatch(stack.settings) as log_watch:
        play = Play(stack, log_watch, http)
        await play.sandbox.change(small_videos=getattr(request.module, "SMALL_VIDEOS", True))
        yield play


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    arguments = getattr(item, "funcargs", {})
    if report.when == "call" and report.failed and "stack" in arguments:
        report.sections.append(("the system", _told(arguments["stack"], arguments.get("play"))))
    return report


def _told(stack: Stack, play: Play | None) -> str:
    """In a thread of its own: the test's event loop may still be this thread's."""
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(told(stack, play))))
    thread.start()
    thread.join(60)
    return found[0] if found else "the system could not be asked"
