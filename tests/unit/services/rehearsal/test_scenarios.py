"""The mix of cycles: complete, reproducible, and made of faults that the sandbox knows."""

import random
from contextlib import closing
from pathlib import Path

from services.rehearsal.demo import plan
from services.rehearsal.scenarios import SCENARIOS, Scenario, mix
from services.sandbox.faults import FaultRule, Faults
from services.sandbox.store import Store
from tests.support.each import each


def test_the_same_seed_gives_the_same_mix_and_another_one_another() -> None:
    assert mix(20, random.Random(7)) == mix(20, random.Random(7))
    assert mix(20, random.Random(7)) != mix(20, random.Random(8))


@each("cycles", [1, 6, 12, 20, 45])
def test_a_mix_is_as_long_as_asked_and_has_every_kind_when_there_is_room(cycles: int) -> None:
    chosen = mix(cycles, random.Random(1))
    assert len(chosen) == cycles
    assert len({scenario.name for scenario in chosen}) >= min(cycles, len(SCENARIOS))


def test_no_cycle_is_hit_by_the_faults_of_another() -> None:
    cycles = plan(200, 1)
    for cycle in cycles:
        others = [other for other in cycles if other is not cycle]
        assert not any(cycle.product in other.product for other in others)
        assert not any(str(cycle.user_id) in str(other.user_id) for other in others)


@each("scenario", SCENARIOS)
def test_the_sandbox_knows_every_fault(scenario: Scenario, tmp_path: Path) -> None:
    rules = [fault.rule("Tea cup", 1) for fault in scenario.faults]
    with closing(Store(tmp_path)) as store:
        Faults(store).add(*(FaultRule(**rule) for rule in rules))
