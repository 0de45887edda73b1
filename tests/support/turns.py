"""Turns of processes that write to the same account: how often one is passed, and how long it waits."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from events.envelope import Recorded

WITHIN = 3
"""Batches of the other one between two of one's own; more only while the machine has other things to do."""


class Turns(NamedTuple):
    """Each undisturbed turn of a process: batches of the others since its last one, and microseconds."""

    passed: list[int]
    waited_us: list[int]

    @property
    def soon(self) -> float:
        """Share of the turns that came within so many batches."""
        return sum(count <= WITHIN for count in self.passed) / len(self.passed)

    def __str__(self) -> str:
        return (
            f"{len(self.passed)} turns, {self.soon:.1%} of them within {WITHIN} batches of the other, "
            f"at most {max(self.passed)}; longest wait {max(self.waited_us) / 1000:.0f} ms"
        )


def turns_of(log: Iterable[Recorded], disturbed: Mapping[str, Sequence[tuple[int, int]]]) -> Turns:
    """Of the processes named, whose keys are `…:<name>.…` or `<name>.…`.

    A batch is what one process has written at one time. Left out are turns while a process was `disturbed`,
    from and to in epoch microseconds.
    """
    batches: list[tuple[str, int]] = []
    for event in log:
        name = (event.key or "").rpartition(":")[2].partition(".")[0]
        batch = (name, event.recorded_at_us)
        if name in disturbed and batch not in batches[-1:]:
            batches.append(batch)
    turns = Turns([], [])
    last: dict[str, int] = {}
    for number, (name, at_us) in enumerate(batches):
        before = last.get(name)
        last[name] = number
        if before is None:
            continue
        begun_us = batches[before][1]
        if all(until_us < begun_us or at_us < from_us for from_us, until_us in disturbed[name]):
            turns.passed.append(number - before - 1)
            turns.waited_us.append(at_us - begun_us)
    return turns
