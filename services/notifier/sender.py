"""Sender of deliveries: each once, or once more when its arrival is unknown.

    pending ──begin──▶ sending ──▶ sent
       ▲                  │
       └──── again ───────┼──▶ failed    the chat is gone, Telegram refuses it, or it stays unknown twice
                          └──▶ skipped   the account was erased, or a reminder is not wanted any more

Written down before the send, so that after a crash it is known which ones may have arrived.
"""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from typing import Final

import structlog
from aiogram import Bot
from aiogram.types import Message, ReplyParameters
from msgspec.structs import replace
from structlog.contextvars import bind_contextvars

from ledger.log.reader import LogReader
from ledger.postgres import DATABASE_ERRORS
from services.adapters.telegram.limits import TelegramLimits
from services.adapters.telegram.send import UPLOAD_BYTES_MAX, classify, file_id_of
from services.adapters.telegram.video_file import BlobFile, VideoFacts, read_facts, upload_timeout_s
from services.notifier.deliveries import Deliveries, Delivery, about, span_of
from services.notifier.messages import Messages, ends_soon
from services.notifier.metrics import DELIVERIES, SENDING
from services.notifier.payment_messages import PaymentMessages
from services.platform.backoff import backoff_s
from services.platform.blobs import BlobStore

logger = structlog.get_logger()

CONCURRENCY: Final = 16
SLOT_WAIT_S: Final = 3.0
STATUS_WAIT_S: Final = 0.5
STATUS_PATIENCE_S: Final = 60.0
"""So long a payment's own message may take to say it: the chat's other messages wait behind."""
GIVE_UP_S: Final = 3 * 24 * 3600.0
"""How long something that may still work is tried."""
MISSING_GIVE_UP_S: Final = 600.0
AS_LINK_AFTER: Final = 20
"""Sends of a file that Telegram answered with an error, about an hour of them."""
UNKNOWN_TWICE: Final = "sent twice without an answer; a third time could show it twice"
LOUD_HOURS: Final = range(9, 21)
"""By REMINDERS_UTC_OFFSET."""
_RECORD_TRIES: Final = 10


class Sender:
    def __init__(
        self,
        bot: Bot,
        deliveries: Deliveries,
        messages: Messages,
        payments: PaymentMessages,
        blobs: BlobStore,
        reader: LogReader,
        limits: TelegramLimits,
        utc_offset: int = 3,
    ) -> None:
        self._bot = bot
        self._deliveries = deliveries
        self._messages = messages
        self._payments = payments
        self._blobs = blobs
        self._reader = reader
        self._limits = limits
        self._awake = timezone(timedelta(hours=utc_offset))
        self._held: dict[asyncio.Task[None], Delivery] = {}
        self.wake = asyncio.Event()
        """Set when there may be something to send."""

    async def run_once(self) -> int:
        free = CONCURRENCY - len(self._held)
        if free <= 0:
            return 0
        taken = await self._deliveries.claim(free)
        for delivery in taken:
            before = self._holding(delivery)
            task = asyncio.create_task(self._guarded(delivery, before), name=f"send-{delivery.job}")
            self._held[task] = delivery
            task.add_done_callback(self._let_go)
        SENDING.set(len(self._held))
        return len(taken)

    def status(self) -> dict[str, int]:
        return {"sending": len(self._held)}

    async def renew_once(self) -> int:
        """Keep the leases of what is being sent; 0, as `repeat` wants it."""
        await self._deliveries.renew(list(self._held.values()))
        return 0

    async def drain(self) -> None:
        while self._held:
            await asyncio.wait(list(self._held))

    def _let_go(self, task: asyncio.Task[None]) -> None:
        self._held.pop(task, None)
        SENDING.set(len(self._held))
        self.wake.set()

    def _holding(self, delivery: Delivery) -> asyncio.Task[None] | None:
        """Our own task with this delivery, its lease having run out. It cannot reach Postgres, perhaps to
        note that the message has arrived: no reason to repeat it."""
        same = (delivery.job, delivery.kind)
        return next((task for task, held in self._held.items() if (held.job, held.kind) == same), None)

    async def _guarded(self, delivery: Delivery, before: asyncio.Task[None] | None) -> None:
        bind_contextvars(**about(delivery))  # in every line of this task, whoever writes it
        if before is not None:
            await asyncio.wait([before])
        try:
            with span_of(delivery):
                await self._deliver(delivery)
        except DATABASE_ERRORS as error:  # the row stays taken until its lease ends
            logger.warning("delivery_interrupted", error=repr(error))
        except Exception:
            logger.exception("delivery_failed_unexpectedly")

    async def _deliver(self, delivery: Delivery) -> None:
        if delivery.chat_id is None:
            return await self._skip(delivery, "the account was erased")
        if delivery.status_message is not None and delivery.status_shown:
            return await self._record_sent(delivery, delivery.status_message, None)  # one message per event
        if delivery.status_message is not None and delivery.age_s < STATUS_PATIENCE_S:
            await self._deliveries.retry(delivery, STATUS_WAIT_S, None)
            return None
        if delivery.unknown_sends >= 2:
            return await self._end(delivery, UNKNOWN_TWICE)
        if delivery.has_file and await self._blobs.size_bytes(delivery.blob) is None:
            return await self._again(delivery, "the video is not in the blob store", MISSING_GIVE_UP_S)
        # From the ledger itself: right even with dead projections.
        account = await self._reader.account(delivery.account)
        ends = ends_soon(account.lots, delivery.owed_at_s + delivery.age_s)
        if not delivery.wanted or (delivery.kind == "ending" and not ends):
            return await self._skip(delivery, "no longer wanted, no longer so, or too late")
        facts = VideoFacts()
        if delivery.has_file and not self._sends_link(delivery):
            facts = await read_facts(self._blobs, delivery.blob, delivery.photo)
        slot = await self._limits.take(delivery.chat_id, wait_s_max=SLOT_WAIT_S)
        if not slot.taken:
            await self._deliveries.retry(delivery, slot.wait_s, None)
            return None
        await asyncio.sleep(slot.wait_s)
        if not await self._deliveries.begin(delivery):
            logger.warning("delivery_taken_over")
            return None
        try:
            if delivery.is_reminder:
                message = await self._remind(delivery, delivery.chat_id, ends)
            else:
                balance = None if account.broken else account.balance
                message = await self._send(delivery, delivery.chat_id, balance, facts)
        except Exception as error:
            return await self._failed(delivery, error)
        return await self._record_sent(delivery, message.message_id, file_id_of(message))

    async def _send(
        self, delivery: Delivery, chat_id: int, balance: int | None, facts: VideoFacts
    ) -> Message:
        if delivery.is_payment:
            shown = self._payments.received(delivery, balance)
            return await self._bot.send_message(chat_id, shown.text, reply_markup=shown.buttons)
        buttons, answers = self._messages.buttons(delivery, balance), _answers(delivery)
        silent = delivery.has_file and delivery.follows
        if delivery.kind in ("referral", "referred", "grant"):
            text = self._messages.bonus(delivery, balance)
        elif delivery.kind == "failure":
            text = self._messages.failure(delivery, balance)
        elif self._sends_link(delivery):
            if not self._messages.has_links:
                logger.error("video_without_address", set="PUBLIC_URL")
            text = self._messages.video(replace(delivery, as_link=True), balance)
        else:
            return await self._bot.send_video(
                chat_id,
                BlobFile(self._blobs, delivery.blob),
                caption=self._messages.video(delivery, balance),
                width=facts.width,
                height=facts.height,
                duration=facts.duration,
                thumbnail=facts.thumbnail,
                supports_streaming=True,
                reply_markup=buttons,
                reply_parameters=answers,
                disable_notification=silent,
                request_timeout=upload_timeout_s(delivery.size_bytes),
            )
        return await self._bot.send_message(
            chat_id, text, reply_markup=buttons, reply_parameters=answers, disable_notification=silent
        )

    async def _remind(self, delivery: Delivery, chat_id: int, ends: Mapping[date, int]) -> Message:
        """What no event owes, quoting its card; without a sound at night."""
        hour = datetime.fromtimestamp(delivery.owed_at_s + delivery.age_s, self._awake).hour
        return await self._bot.send_message(
            chat_id,
            self._messages.reminder(delivery, ends),
            reply_markup=self._messages.buttons(delivery),
            reply_parameters=_answers(delivery),
            disable_notification=hour not in LOUD_HOURS,
        )

    def _sends_link(self, delivery: Delivery) -> bool:
        return delivery.as_link or delivery.size_bytes > UPLOAD_BYTES_MAX

    async def _record_sent(self, delivery: Delivery, message_id: int, file_id: str | None) -> None:
        for attempt in range(_RECORD_TRIES):
            try:
                first = await self._deliveries.sent(delivery, message_id, file_id)
            except DATABASE_ERRORS as error:
                logger.warning("delivery_record_failed", error=repr(error))
                await asyncio.sleep(backoff_s(attempt))
                continue
            DELIVERIES.labels(delivery.kind, "sent" if first else "sent_again").inc()
            log = logger.info if first else logger.warning
            log("delivery_sent", first=first, age_s=round(delivery.age_s, 1))
            return

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        verdict = classify(error)
        DELIVERIES.labels(delivery.kind, verdict.outcome).inc()
        logger.warning("delivery_not_sent", outcome=verdict.outcome, reason=verdict.reason)
        match verdict.outcome:
            case "gone" if delivery.is_reminder:
                await self._skip(delivery, verdict.reason)
            case "gone":
                await self._end(delivery, verdict.reason)
            case "unknown":
                # Once more, and a second time it ends in _deliver.
                await self._deliveries.retry(delivery, backoff_s(1), verdict.reason, may_have_arrived=True)
            case "too_large" | "refused" if delivery.has_file and not self._sends_link(delivery):
                await self._deliveries.retry(delivery, 0, verdict.reason, as_link=True)
            case "too_large" | "refused":
                await self._end(delivery, verdict.reason)
            case "again" if verdict.after_s is not None and delivery.chat_id is not None:
                await self._limits.pause(delivery.chat_id, verdict.after_s)
                await self._deliveries.retry(delivery, verdict.after_s, verdict.reason)
            case "again":
                await self._again(delivery, verdict.reason)

    async def _again(self, delivery: Delivery, reason: str, give_up_s: float = GIVE_UP_S) -> None:
        if delivery.age_s > give_up_s:
            return await self._end(delivery, f"given up: {reason}")
        # Perhaps it is this file that Telegram stumbles over; behind it the chat's other messages wait.
        as_link = delivery.has_file and delivery.attempts >= AS_LINK_AFTER
        await self._deliveries.retry(delivery, backoff_s(delivery.attempts + 1), reason, as_link=as_link)

    async def _end(self, delivery: Delivery, reason: str) -> None:
        await self._deliveries.end(delivery, "failed", reason)
        DELIVERIES.labels(delivery.kind, "failed").inc()
        logger.error("delivery_failed", reason=reason)

    async def _skip(self, delivery: Delivery, reason: str) -> None:
        await self._deliveries.end(delivery, "skipped", reason)
        DELIVERIES.labels(delivery.kind, "skipped").inc()
        logger.info("delivery_skipped", reason=reason)


def _answers(delivery: Delivery) -> ReplyParameters | None:
    """The card that it answers, should that still be there."""
    if not delivery.card:
        return None
    return ReplyParameters(message_id=delivery.card, allow_sending_without_reply=True)
