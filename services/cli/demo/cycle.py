"""What was played in one cycle, and what came of it."""

from __future__ import annotations

import msgspec

from services.cli.demo.scenarios import Scenario


class Cycle(msgspec.Struct):
    """One cycle, filled in as it goes on. Credits are as the chat shows them."""

    number: int
    scenario: Scenario
    user_id: int
    product: str
    note: str = ""
    """What was done beyond the sandbox's faults, e.g. which process was killed after which event."""
    order: str = ""
    jobs: list[str] = []
    videos: int = 0
    """Final messages with a video."""
    refusals: int = 0
    """Final messages that say why there is none."""
    before: int | None = None
    after: int | None = None
    seconds: float = 0.0
    disturbed: bool = False
    """A worker was killed meanwhile, whichever cycle it was meant for."""
    problems: list[str] = []

    @property
    def outcome(self) -> str:
        """In a few words, as the chat told it."""
        if self.problems:
            return "FAILED"
        parts = [_count(self.videos, "video"), _count(self.refusals, "refund")]
        return ", ".join(part for part in parts if part) or "nothing"


def _count(number: int, word: str) -> str:
    return "" if number == 0 else word if number == 1 else f"{number} {word}s"
