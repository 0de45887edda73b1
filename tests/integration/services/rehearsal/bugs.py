"""A small finished system of rows and messages, and seven bugs of the kind that a verdict is for.

Two sellers have ordered: Ann two videos, of which one failed and was refunded, Bob one. The log is made by
the ledger's own rules, everything else as relay, projector and notifier leave it; then a bug is planted.
"""

from collections import Counter
from collections.abc import Callable

import asyncpg
import msgspec

from events.envelope import Recorded
from ledger import commands as c
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from services.platform.redis_keys import JOBS
from services.rehearsal.chat_client import Message, TaskSeen
from services.rehearsal.log_watch import LogWatch
from services.rehearsal.seller import AGAIN
from services.streams.consumer.read import make_group
from services.streams.entries import GENERATION
from services.streams.publisher.rebuild import Rebuild
from services.streams.publisher.scripts import Scripts
from tests.support.fake_clock_ledger import FakeClockLedger, store
from tests.support.history import rehashed

ANN, BOB = 101, 102
GIVEN = 5
ORDERS = {"o-ann": ("a", ANN, ("made-1", "failed")), "o-bob": ("b", BOB, ("made-2",))}
STATUS_MESSAGE = 1
_DRAFT = """
INSERT INTO drafts (draft, account, chat_id, message_id, photo, photo_file, photo_message, album, brief,
                    style, model, format, seconds, number, price, jobs, view, version, shown, changed_by,
                    confirmed, ordered, product_message, wishes_message)
VALUES ($1, $2, $3, $4, 'p', '', 0, '', $1, 'ugc', 'm', '9:16', 5, 1, 1, $5, '', 1, 1, 0, true, true, 0, 0)
"""
_DELIVERY = """
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, state, message_id,
                        blob, size_bytes, refunded)
SELECT $1, $2, e.position, d.account, d.draft, 1, 1, 'en', 'sent', $3,
       coalesce(e.data -> 'video' ->> 'blob', ''), coalesce((e.data -> 'video' ->> 'size_bytes')::bigint, 0),
       CASE $2 WHEN 'failure' THEN d.price ELSE 0 END
FROM events e, drafts d WHERE e.stream = 'job-' || $1 AND $1 = ANY (d.jobs) ORDER BY e.version DESC LIMIT 1
"""
_OPEN_JOBS = """
INSERT INTO open_jobs (job, account, position, deadline_at_us)
SELECT substr(stream, 5), data::jsonb ->> 'account', position, (data::jsonb ->> 'deadline_at_us')::bigint
FROM events queued WHERE type = 'JobQueued' AND NOT EXISTS (
    SELECT FROM events ended
    WHERE ended.stream = queued.stream AND ended.type IN ('JobSucceeded', 'JobFailed')
)
"""
_MOVED = """
UPDATE cursors SET (position, hash) = (SELECT position, hash FROM events ORDER BY position DESC LIMIT 1)
WHERE name = 'notifier'
"""


class World:
    """`shown` are balances in chats, `tasks` the provider's book, `hand` is SQL run at the end."""

    def __init__(self) -> None:
        desk = FakeClockLedger()
        for account in ("a", "b"):
            desk.open(account, GIVEN)
        for order, (account, _, jobs) in ORDERS.items():
            desk.order(account, order, *jobs)
        for job in ("made-1", "failed", "made-2"):
            desk.submit(job)
        desk.succeed("made-1")
        desk.fail("a", "failed")
        desk.succeed("made-2")
        self.desk = desk
        self.drop: Callable[[Recorded], bool] = lambda row: False
        self.tasks = [TaskSeen(f"t-{job}", job, 1, "success") for job in ("made-1", "failed", "made-2")]
        self.chats: dict[int, list[Message]] = {chat: [] for chat in (ANN, BOB)}
        for _, chat, _ in ORDERS.values():
            self.chats[chat].append(self._message(STATUS_MESSAGE, "Your order is finished"))
        self.final(ANN, 2, "o-ann", video=True)
        self.final(ANN, 3, "o-ann", video=False)
        self.final(BOB, 2, "o-bob", video=True)
        self.deliveries = {"made-1": ("video", 2), "failed": ("failure", 3), "made-2": ("video", 2)}
        self.shown = {ANN: GIVEN - 1, BOB: GIVEN - 1}
        self.hand = ""

    def final(self, chat: int, number: int, order: str, *, video: bool) -> None:
        """A message that ends one of the order's jobs."""
        buttons = [[{"text": "again", "callback_data": f"{AGAIN}{order}:"}]]
        more = {"video": {"file_id": "f"}} if video else {}
        message = self._message(number, "the end") | more
        self.chats[chat].append(message | {"reply_markup": {"inline_keyboard": buttons}})

    def _message(self, number: int, text: str) -> Message:
        return {
            "message_id": number,
            "date": self.desk.now_us // 10**6,
            "text": text,
            "from": {"is_bot": True},
        }

    async def build(self, database_url: str, watch: LogWatch) -> None:
        """Everything into Postgres and Redis."""
        await store(database_url, renumbered([row for row in self.desk.events if not self.drop(row)]))
        owner = await asyncpg.connect(database_url)
        try:
            for order, (account, chat, jobs) in ORDERS.items():
                await owner.execute("INSERT INTO accounts VALUES ($1, $2)", account, chat)
                await owner.execute("INSERT INTO texts VALUES ($1, $2, '{}')", order, account)
                words = (order, account, chat, STATUS_MESSAGE, list(jobs))
                await owner.execute(_DRAFT, *words)
                for job in jobs:
                    if told := self.deliveries.get(job):
                        await owner.execute(_DELIVERY, job, *told)
            await _publish(watch)
            await owner.execute(
                f"{_OPEN_JOBS}; SET ROLE postgres; SET session_replication_role = replica; {self.hand}"
            )
        finally:
            await owner.close()


def renumbered(rows: list[Recorded]) -> list[Recorded]:
    """A log without some events in which versions, commands and hashes are as if they had never been."""
    versions, commands = Counter[str](), Counter[int]()
    command = 0
    for row in rows:
        command += row.key is not None
        commands[command] += 1
    found, command = [], 0
    for row in rows:
        versions[row.stream] += 1
        command += row.key is not None
        size = commands[command] if row.key is not None else None
        found.append(msgspec.structs.replace(row, version=versions[row.stream], command_events=size))
    return rehashed(found)


async def _publish(watch: LogWatch) -> None:
    """As projector, notifier, relay and workers have left it at the head."""
    for projection in PROJECTIONS.values():
        runner = Runner(watch.pool, projection)
        await runner.apply(await watch.log.events_after((await runner.cursor()).position))
    await watch.pool.execute(_MOVED)
    scripts = Scripts(watch.redis, ledger_entries_max=1000)
    await Rebuild(watch.pool, scripts, entries=1000, reach_back=1000).run()
    await make_group(watch.redis, JOBS, GENERATION)


def lost_refund(world: World) -> None:
    world.drop = lambda row: row.type == "CreditsRefunded"
    world.shown[ANN] -= 1


def doubled_grant(world: World) -> None:
    """A bonus that was meant once came twice, each a command of its own and in good order."""
    world.desk.do(c.GrantCredits("b", 3, "bonus", "welcome"))
    world.shown[BOB] += 3


def job_without_an_end(world: World) -> None:
    world.drop = lambda row: row.type == "JobSucceeded" and "made-2" in row.stream
    del world.deliveries["made-2"]
    world.chats[BOB].pop()


def video_told_twice(world: World) -> None:
    world.final(ANN, 4, "o-ann", video=True)


def video_told_to_another_seller(world: World) -> None:
    world.chats[ANN].append(world.chats[BOB].pop() | {"message_id": 4})


def another_balance_in_the_chat(world: World) -> None:
    world.shown[ANN] += 1


def broken_hash_chain(world: World) -> None:
    world.hand = "UPDATE events SET hash = sha256(hash) WHERE position = 4"
