"""The ledger under every kind of use at once, compared with a plain model after every step."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.integration.ledger.machine_money import MoneyMachine
from tests.support.arena.seed import chosen
from tests.support.multi_process_ledger import MultiProcessLedger


@pytest.fixture
def world(database_url: str) -> Iterator[MultiProcessLedger]:
    world = MultiProcessLedger(database_url)
    yield world
    world.close()


def run(world: MultiProcessLedger, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        seed(chosen())(lambda: MoneyMachine(world)),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # a race does not shrink
        ),
    )


def test_whatever_is_asked_the_ledger_does_what_the_model_says(world: MultiProcessLedger):
    run(world, 8, 16)


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_whatever_is_asked_for_a_long_time(world: MultiProcessLedger):
    run(world, 30, 40)
