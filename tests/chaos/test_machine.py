"""The state machine of tests/integration/ledger, for longer."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.ledger.machine import LedgerMachine
from tests.support.world import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    world = World(database_url)
    yield world
    world.close()


def test_whatever_is_asked_for_a_long_time(world: World):
    run_state_machine_as_test(
        lambda: LedgerMachine(world),  # type: ignore[arg-type]
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # a race does not shrink
        ),
    )
