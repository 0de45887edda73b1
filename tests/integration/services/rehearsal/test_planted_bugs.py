"""Seven planted bugs are found, each by the checks that are for it; a clean run is not blamed."""

from typing import Any, Final

import pytest

from services.platform.settings import Settings
from services.rehearsal.chat_client import Message, Sandbox, TaskSeen
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.verdict import Customer, collect, judge
from tests.integration.services.rehearsal import bugs
from tests.integration.services.rehearsal.bugs import GIVEN, World

BALANCES: Final = "log, projection, chat and a plain count agree on balances"
PLANTED: Final = {
    "a lost refund": (bugs.lost_refund, {"one charge, one outcome", BALANCES}),
    "a doubled grant": (bugs.doubled_grant, {BALANCES}),
    "a job without an end": (
        bugs.job_without_an_end,
        {
            "everything came to rest", "one charge, one outcome", "one final message per job", BALANCES,
            "streams and log agree",
        },
    ),
    "a video told twice": (bugs.video_told_twice, {"one final message per job"}),
    "a video told to another seller": (bugs.video_told_to_another_seller, {"one final message per job"}),
    "another balance in the chat": (bugs.another_balance_in_the_chat, {BALANCES}),
    "a broken hash chain": (bugs.broken_hash_chain, {"the chain holds", "streams and log agree"}),
}  # fmt: skip


class QuietSandbox(Sandbox):
    """Answers from a world's data; nothing went wrong in it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def chat(self, user_id: int) -> Any:
        return QuietChat(user_id, self._world.chats[user_id])

    async def tasks(self) -> list[TaskSeen]:
        return self._world.tasks

    async def faults_taken(self) -> list[dict[str, Any]]:
        return []


class QuietChat:
    def __init__(self, user_id: int, messages: list[Message]) -> None:
        self.user_id = user_id
        self._messages = messages

    async def look(self) -> bool:
        return True

    def from_bot(self) -> list[Message]:
        return self._messages


async def found(world: World, settings: Settings) -> set[str]:
    """The names of the checks that found something."""
    async with LogWatch(settings) as watch:
        await world.build(settings.require_database_url(), watch)
        customers = [Customer(chat, GIVEN, shown) for chat, shown in world.shown.items()]
        evidence = await collect(watch, QuietSandbox(world), customers, await watch.settle(0.5))
    return {check.name for check in judge(evidence) if check.problems}


async def test_a_clean_run_is_not_blamed(settings: Settings) -> None:
    assert await found(World(), settings) == set()


@pytest.mark.parametrize("bug", PLANTED)
async def test_a_planted_bug_is_found(settings: Settings, bug: str) -> None:
    plant, checks = PLANTED[bug]
    world = World()
    plant(world)
    assert await found(world, settings) == checks
