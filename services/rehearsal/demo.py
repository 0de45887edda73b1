"""A whole run: a fresh stack, the cycles, the checks, and the stories of what failed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from services.cli.output import say
from services.rehearsal.log_watch import Witness
from services.rehearsal.report import Watcher, timeline
from services.rehearsal.sandbox_control import Sandbox
from services.rehearsal.scenario_run import Player, plan
from services.rehearsal.scenarios import Cycle
from services.rehearsal.system import Stack
from services.rehearsal.verdict import Check, check_all, settle

CHAT_TIMEOUT_S = 30.0
FREE_CREDITS = 3
"""So that a new seller can order three videos at once."""


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to. `folder` is left behind when something failed."""

    seed: int
    cycles: list[Cycle]
    checks: list[Check]
    folder: Path

    @property
    def good(self) -> bool:
        return not any(check.problems for check in self.checks)


async def run(count: int, workers: int, seed: int, watch: Watcher) -> Outcome:
    """Play `count` cycles against processes of their own in a temporary folder, and check everything."""
    folder = Path(tempfile.mkdtemp(prefix="neurocards-demo-"))
    cycles = plan(count, seed)
    stack = Stack(folder, workers=workers, FREE_CREDITS=FREE_CREDITS)
    say(f"starting the system with {workers} worker(s) in {folder}")
    client = httpx.AsyncClient(timeout=CHAT_TIMEOUT_S, trust_env=False)
    async with stack, client as http, Witness(stack.settings) as witness:
        sandbox = Sandbox(http, stack.sandbox_url)
        await sandbox.change(small_videos=True)
        player = Player(stack, witness, http, seed)
        await player.play_all(cycles, watch)
        say("checking")
        rest = await settle(witness)
        await player.count_messages(cycles)
        checks = await check_all(witness, cycles, await sandbox.tasks(), rest)
        outcome = Outcome(seed, cycles, checks, folder)
        if not outcome.good:
            await _tell_stories(witness, cycles)
    if outcome.good:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


async def _tell_stories(witness: Witness, cycles: Sequence[Cycle]) -> None:
    for cycle in cycles:
        if not cycle.problems:
            continue
        say(f"cycle {cycle.number} ({cycle.scenario.name}, seller {cycle.user_id}, {cycle.product}):")
        for problem in cycle.problems:
            say(f"  {problem}")
        for job in cycle.jobs or await witness.jobs_of(cycle.user_id):
            say(f"  job {job}")
            say(timeline(await witness.story(job)))
