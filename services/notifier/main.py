"""`neurocards serve notifier`: messages to sellers. Needs Postgres and Telegram; Redis is optional."""

import asyncio
import contextlib

from ledger.log.reader import LogReader
from ledger.postgres import Pool
from services.adapters.telegram.limits import TelegramLimits, rates_for
from services.adapters.telegram.send import create_sending_bot
from services.generation.wait_estimate import MEASURE_EVERY_S, RenderTimes
from services.notifier.deliveries import Deliveries, PendingGauge
from services.notifier.log_consumer import LogConsumer
from services.notifier.messages import Messages, notifier_texts
from services.notifier.payment_messages import PaymentMessages
from services.notifier.sender import Sender
from services.notifier.status_editor import Editor, StatusStore, order_contents, payment_contents
from services.platform.blob_stores import open_blobs
from services.platform.database import create_pool
from services.platform.file_links import FileLinks
from services.platform.periodic import repeat
from services.platform.process import Runtime
from services.platform.redis import blocking_client, command_client
from services.platform.settings import Settings
from services.streams.feed import BLOCK_S_MAX, LOOK_S, Feed, HeadWatch

IDLE_S = 0.5
"""How often the tables are looked at although nobody said that there is something."""
GRACE_S = 12.0
"""So long a stop waits for what is being sent: cut off, nobody would know whether it arrived."""


def prepare() -> None:
    """What is the same in each process, before it is forked: docs/decisions/warm-parent.md."""
    notifier_texts()


async def serve(settings: Settings) -> None:
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "notifier", max_size=12))
        redis = await stack.enter_async_context(command_client(settings))
        bot = create_sending_bot(settings)
        stack.push_async_callback(bot.session.close)
        runtime = await stack.enter_async_context(Runtime(settings, "notifier", grace_s=GRACE_S))
        reader, limits = LogReader(pool), TelegramLimits(redis, rates_for(settings))
        texts = notifier_texts()
        messages = Messages(texts, FileLinks(settings), settings.support_contact)
        of_payments = PaymentMessages(texts)
        feed = Feed(reader, blocking_client(settings, BLOCK_S_MAX))
        stack.push_async_callback(feed.close)
        deliveries = Deliveries(pool, settings.lease_seconds)
        parts = (bot, deliveries, messages, of_payments, open_blobs(settings), reader, limits)
        sender = Sender(*parts, settings.reminders_utc_offset)
        orders = StatusStore(pool, "order", settings.lease_seconds)
        payments = StatusStore(pool, "payment", settings.lease_seconds)
        editors = [
            Editor(bot, orders, order_contents(pool, messages), limits),
            Editor(bot, payments, payment_contents(pool, reader, of_payments), limits),
        ]
        times = RenderTimes(pool)
        follower = LogConsumer(pool, feed, on_change=lambda: _wake(sender, *editors), usual=times.lately_s)

        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        stop, drained = runtime.stop, asyncio.Event()
        runtime.spawn(repeat(follower.run_once, stop, "follow", idle_s=0), "follow")
        runtime.spawn(_send(sender, stop, drained), "send")
        runtime.spawn(repeat(sender.renew_once, drained, "renew", idle_s=settings.lease_seconds / 4), "renew")
        runtime.spawn(repeat(times.measure, stop, "render_times", idle_s=MEASURE_EVERY_S), "render_times")
        for editor in editors:
            runtime.spawn(repeat(editor.run_once, stop, "edit", idle_s=IDLE_S, wake=editor.wake), "edit")
        _tell_status(runtime, pool, follower, sender)
        runtime.ready()
        await runtime.wait()


def _tell_status(runtime: Runtime, pool: Pool, follower: LogConsumer, sender: Sender) -> None:
    head, backlog = HeadWatch(LogReader(pool)), PendingGauge(pool)
    runtime.spawn(repeat(head.run_once, runtime.stop, "head", idle_s=LOOK_S), "head")
    runtime.spawn(repeat(backlog.run_once, runtime.stop, "backlog", idle_s=LOOK_S), "backlog")
    runtime.health.tell(
        {
            "notifier": lambda: follower.status(head),
            "deliveries": lambda: {"pending": backlog.pending, **sender.status()},
        }
    )


async def _send(sender: Sender, stop: asyncio.Event, drained: asyncio.Event) -> None:
    try:
        await repeat(sender.run_once, stop, "send", idle_s=IDLE_S, wake=sender.wake)
        await sender.drain()
    finally:
        drained.set()


def _wake(*parts: Sender | Editor) -> None:
    for part in parts:
        part.wake.set()
