"""Whatever a test hangs in, its limit ends the test, and its process plays the next one."""

from tests.integration.suite.conftest import StartSession, ended

HANGING = """
import asyncio, contextlib, os, subprocess, threading, time
import pytest

first = os.getpid()

async def test_in_the_loop():
    await asyncio.Event().wait()

async def test_in_a_loop_with_a_busy_task():
    async def spin():
        with contextlib.suppress(BaseException):  # the first strike is most likely to hit here
            while True:
                await asyncio.sleep(0)
    task = asyncio.create_task(spin())
    await asyncio.Event().wait()

def test_for_a_process():
    process = subprocess.Popen(["sleep", "600"])
    try:
        process.wait()
    finally:
        process.kill()
        process.wait()

def test_for_a_thread():
    threading.Event().wait()

async def test_for_a_thread_of_the_loop():
    event = threading.Event()
    try:
        await asyncio.to_thread(event.wait)
    finally:
        event.set()

def test_swallowing_exceptions():
    while True:
        with contextlib.suppress(Exception):
            time.sleep(600)

def test_swallowing_the_first_strike():
    with contextlib.suppress(BaseException):
        time.sleep(600)
    time.sleep(600)

@pytest.fixture
def hangs_before():
    time.sleep(600)

@pytest.fixture
def hangs_after():
    yield
    time.sleep(600)

def test_in_setup(hangs_before):
    pass

def test_in_teardown(hangs_after):
    pass

@pytest.mark.timeout(300)
def test_with_a_mark_of_its_own():
    time.sleep(3)

@pytest.mark.timeout(300)
def test_the_process_is_the_same():
    assert os.getpid() == first
"""
IN_THE_TEST = (
    "in_the_loop",
    "in_a_loop_with_a_busy_task",
    "for_a_process",
    "for_a_thread",
    "for_a_thread_of_the_loop",
    "swallowing_exceptions",
    "swallowing_the_first_strike",
)


def test_a_limit_ends_the_test_and_not_its_process(start_session: StartSession) -> None:
    session = start_session(HANGING, "--timeout=2", "--numprocesses=1")
    said = ended(session)
    assert session.returncode == 1, said
    for name in IN_THE_TEST:
        assert f"FAILED test_small.py::test_{name} - Failed: Timeout: call took more than 2 s" in said, said
    assert "ERROR test_small.py::test_in_setup - Failed: Timeout: setup took more than 2 s" in said, said
    assert "ERROR test_small.py::test_in_teardown - Failed: Timeout: teardown took more than 2 s" in said, (
        said
    )
    assert f"{len(IN_THE_TEST)} failed, 3 passed, " in said, said
    assert "crashed" not in said, said


def test_a_test_that_is_ended_shows_where_its_tasks_wait(start_session: StartSession) -> None:
    waiting = "import asyncio\nasync def test_it():\n    await asyncio.Event().wait()  # here\n"
    session = start_session(waiting, "--timeout=2")
    said = ended(session)
    assert "await asyncio.Event().wait()  # here" in said, said
