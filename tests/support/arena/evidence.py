"""Everything there is to judge by after a scenario, collected once: log, provider, chats, tables, streams."""

import json
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import msgspec

from events.codec import decode
from events.envelope import Recorded
from events.job import JobFailed, JobQueued
from events.stream_names import job_of
from projections.verify.check import check_ledger
from services.platform.redis_keys import JOBS
from services.rehearsal.chat_client import Chat, Message
from services.rehearsal.sandbox_control import TaskSeen
from services.streams.compare import check_streams
from services.streams.entries import GENERATION
from tests.support.arena.sellers import CONFIRM, Order, Seller

if TYPE_CHECKING:
    from tests.support.arena.arena import Arena

LOST_ANSWERS = ("drop_after", "hang_after")
"""Faults of Telegram after which a send has happened and nobody knows."""
UNANSWERED = (*LOST_ANSWERS, "drop_before", "hang")
"""Those after which nobody knows whether it has."""
SENDS = ("sendVideo", "sendMessage", "sendAnimation")


class Delivered(msgspec.Struct, frozen=True):
    """A row of `deliveries`."""

    job: str
    kind: str
    state: str
    message_id: int | None
    last_error: str | None = None


class Evidence(msgspec.Struct):
    """`chats` are messages by seller's chat. By chat too: `lost` counts sends that happened and were not
    answered, `unanswered` all that were not, `blocked` holds the chats that once were.

    `told` are the ledger's balances by account, `projected` those of the projection. `problems` are what the
    ledger's own verification and the comparison of streams and log have found.
    """

    sellers: list[Seller]
    orders: list[Order]
    events: list[Recorded]
    tasks: list[TaskSeen]
    chats: dict[int, list[Message]]
    deliveries: list[Delivered]
    lost: Counter[int]
    unanswered: Counter[int]
    blocked: set[int]
    told: dict[str, int]
    projected: dict[str, int]
    problems: list[str]
    left_open: list[str]

    def story(self, job: str) -> list[Recorded]:
        """The job's events in order."""
        return [event for event in self.events if job_of(event.stream) == job]

    def deadline_s(self, job: str) -> float:
        """Epoch seconds."""
        queued = decode(next(event for event in self.story(job) if event.type == "JobQueued"))
        assert isinstance(queued, JobQueued)
        return queued.deadline_at_us / 1e6

    def failure_class(self, job: str) -> str | None:
        """Why it failed; None when it did not."""
        failed = [event for row in self.story(job) if isinstance(event := decode(row), JobFailed)]
        return failed[0].failure.error_class if failed else None


async def collect(arena: "Arena", left_open: list[str]) -> Evidence:
    """Ask everybody. `left_open` is what has not come to rest."""
    witness, sellers = arena.witness, arena.sellers.all
    pool = witness.pool
    chats = {}
    for seller in sellers:
        chat = Chat(arena.http, arena.settings.sandbox_base, seller.chat)
        await chat.look()
        chats[seller.chat] = chat.from_bot()
    accounts = [seller.account for seller in sellers]
    projected = await pool.fetch("SELECT account, balance FROM balances WHERE account = ANY ($1)", accounts)
    spoilt = await faults_taken(arena)
    rows = await pool.fetch("SELECT job, kind, state, message_id, last_error FROM deliveries")
    return Evidence(
        sellers=sellers,
        orders=arena.sellers.orders,
        events=[event async for event in witness.log.scan()],
        tasks=await arena.sandbox.tasks(),
        chats=chats,
        deliveries=[Delivered(*row) for row in rows],
        lost=sends_spoilt(spoilt, LOST_ANSWERS),
        unanswered=sends_spoilt(spoilt, UNANSWERED),
        blocked=set(sends_spoilt(spoilt, ("blocked",), (*SENDS, "editMessageText"))),
        told={account: (await witness.log.account(account)).balance for account in accounts},
        projected={row["account"]: row["balance"] for row in projected},
        problems=await _problems(arena),
        left_open=left_open,
    )


async def faults_taken(arena: "Arena") -> list[dict[str, Any]]:
    """What the sandbox did wrong, oldest first."""
    answer = await arena.http.get(f"{arena.settings.sandbox_base}/__sandbox/faults")
    taken: list[dict[str, Any]] = json.loads(answer.text)["taken"]
    return taken


def sends_spoilt(
    taken: list[dict[str, Any]], faults: Collection[str], calls: Collection[str] = SENDS
) -> Counter[int]:
    """What was sent to sellers and met one of these faults, by chat."""
    return Counter(
        int(fault["context"]["chat"])
        for fault in taken
        if (fault["api"], fault["context"].get("text")) != ("telegram", CONFIRM)
        and fault["call"] in calls
        and fault["fault"] in faults
    )


async def _problems(arena: "Arena") -> list[str]:
    found = [f"{p.kind} at {p.position}: {p.message}" for p in await check_ledger(arena.witness.pool)]
    report = await check_streams(arena.witness.redis, arena.witness.pool)
    found += [f"{p.kind} at {p.position}: {p.message}" for p in report.problems]
    pending: Any = await arena.witness.redis.xpending(JOBS, GENERATION)
    if pending["pending"]:
        found.append(f"{pending['pending']} entries are pending in the group: {pending}")
    return found
