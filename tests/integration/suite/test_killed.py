"""A test process that is killed costs the run one test: another takes its place and plays the rest."""

from tests.integration.suite.conftest import StartSession, ended

KILLED = (0, 20, 39)
COUNT = 40
DYING = f"""
import os, signal
import pytest

@pytest.mark.parametrize("number", range({COUNT}))
def test_it(number):
    if number in {KILLED}:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_costs_one_test(start_session: StartSession) -> None:
    session = start_session(DYING, "--numprocesses=2")
    said = ended(session)
    assert session.returncode == 1, said
    assert f"{len(KILLED)} failed, {COUNT - len(KILLED)} passed" in said, said
    for number in KILLED:
        assert f"crashed while running 'test_small.py::test_it[{number}]'" in said
