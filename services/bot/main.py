"""`neurocards serve bot`: the Telegram bot's process."""

import asyncio
import logging
from collections.abc import Awaitable
from functools import cache, partial
from typing import Final

import structlog
from aiogram import Bot

from ledger.postgres import Pool
from services.accounts.drafts import Drafts
from services.accounts.erase import Forgetting
from services.accounts.personal_data import PersonalData
from services.adapters.openai.moderation import Moderator
from services.adapters.telegram.client import create_bot, is_transient
from services.adapters.telegram.lazy_models import build_common
from services.adapters.telegram.limits import RateLimit, TelegramLimits, rates_for
from services.adapters.telegram.order_labels import SHARED
from services.adapters.telegram.updates import STORED_CHANNEL, store_updates
from services.adapters.yookassa.gateway import YooKassa
from services.bot.chat_state import PostgresStorage
from services.bot.checkout import Checkout
from services.bot.context import BotContext
from services.bot.inbox import ChatClaims, Fence, Inbox, InboxRunner, LeaderLock, Work
from services.bot.metrics import AnswerTimes
from services.bot.moderation import Moderation, Verdicts
from services.bot.order_history import History
from services.bot.polling import Polling
from services.bot.screens.menu import commands, description, short_description
from services.bot.update_handler import ALLOWED_UPDATES, UpdateHandler, build_dispatcher
from services.bot.webhook import Webhook
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import READ_EVERY_S, CircuitBook, Circuits
from services.generation.wait_estimate import MEASURE_EVERY_S, Outlook, capacity
from services.operations.runner import Operation, OperationRunner, Tell
from services.payments.orders import PaymentOrders
from services.payments.stars import StarsPayments
from services.payments.yookassa import YooKassaPayments
from services.platform.ask_time import ask_time
from services.platform.blob_stores import open_blobs
from services.platform.catalogues import DEFAULT_LOCALE, LOCALES
from services.platform.i18n import Catalogues
from services.platform.periodic import repeat, sleep
from services.platform.primary_mark import PrimaryMark
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.redis import command_client
from services.platform.scheduler import Scheduler
from services.platform.settings import Settings

logger = structlog.get_logger()

TURN_LOCK: Final = 7_300_010
_CLEAN_EVERY_S: Final = 60.0
_ERASE_EVERY_S: Final = 2.0
_POOL_MAX: Final = 16


async def serve(settings: Settings) -> None:
    """Run until told to stop. Needs Postgres; waits for Redis and Telegram."""
    _ = settings.forget_secrets  # without one nobody who comes back is known
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # a line per update otherwise
    async with Runtime(settings, "bot") as runtime:
        redis, bot, moderator = command_client(settings), create_bot(settings), Moderator(settings)
        bot.session.middleware(Fence())
        bot.session.middleware(AnswerTimes())
        bot.session.middleware(RateLimit(TelegramLimits(redis, rates_for(settings))))
        try:
            async with (
                start_ledger(settings, runtime, max_size=_POOL_MAX, ask=ask_time, mark=PrimaryMark) as (
                    ledger,
                    pool,
                ),
                YooKassa(settings) as yookassa,
            ):
                texts, people, blobs = bot_texts(), PersonalData(pool), open_blobs(settings)
                orders = PaymentOrders(settings, ledger, pool)
                inbox, by_card = Inbox(pool), YooKassaPayments(orders, yookassa, bot.me)
                shop = BotContext(
                    settings,
                    people,
                    Drafts(pool),
                    ledger,
                    blobs,
                    History(pool, ledger.read),
                    load_catalogue(),
                    texts,
                    Moderation(settings.moderation, moderator, Verdicts(pool), blobs),
                    Checkout(orders, by_card, StarsPayments(orders, bot, people)),
                    Forgetting(settings, pool, ledger, blobs),
                    Circuits(CircuitBook(pool)),
                    Outlook(pool, capacity(settings)),
                )
                handler = UpdateHandler(bot, build_dispatcher(shop, PostgresStorage(pool)), texts)
                spawn_updates(runtime, settings, inbox, handler, fetcher(settings, bot, pool))
                spawn_views(runtime, shop, inbox, bot)
                start_erasing(runtime, shop, pool)
                runtime.ready()
                await runtime.wait()
        finally:
            await bot.session.close()
            await moderator.close()
            await redis.aclose()


def spawn_updates(
    runtime: Runtime, settings: Settings, inbox: Inbox, handler: UpdateHandler, fetch: Work
) -> None:
    """Answer claimed chats, and `fetch` in turn with other processes."""
    money, rest = (InboxRunner(inbox, handler, urgent=urgent) for urgent in (True, False))

    def hear(lane: str) -> None:
        (money if lane == "urgent" else rest).wake()

    async def answer(over: asyncio.Event) -> None:
        await together(over, money.run(over), rest.run(over))

    turn = LeaderLock(settings, "bot", TURN_LOCK, runtime.stop, channel=STORED_CHANNEL, hear=hear)
    runtime.health.tell({"has_turn": lambda: turn.mine, "inbox_urgent": money.status, "inbox": rest.status})
    runtime.spawn(turn.run(fetch), "turn")
    runtime.spawn(ChatClaims(inbox, runtime.stop).run(answer), "updates")


def fetcher(settings: Settings, bot: Bot, pool: Pool) -> Work:
    """What the process with the turn does: fetch updates, or keep Telegram sending them to `web`."""
    if settings.bot_mode == "webhook":
        return Webhook(settings, bot, list(ALLOWED_UPDATES)).run
    return Polling(bot, partial(store_updates, pool), list(ALLOWED_UPDATES)).run


def spawn_views(runtime: Runtime, shop: BotContext, inbox: Inbox, bot: Bot) -> None:
    runtime.spawn(show_window(runtime, shop, bot), "window", may_end=True)
    circuits, times = shop.circuits, shop.outlook.times
    runtime.spawn(repeat(inbox.clean, runtime.stop, "clean", idle_s=_CLEAN_EVERY_S), "clean")
    runtime.spawn(repeat(circuits.refresh, runtime.stop, "circuits", idle_s=READ_EVERY_S), "circuits")
    runtime.spawn(repeat(times.measure, runtime.stop, "render_times", idle_s=MEASURE_EVERY_S), "render_times")


def start_erasing(runtime: Runtime, shop: BotContext, pool: Pool) -> None:
    """Erase whom the dashboard's people ask to: this process has the secret and the rights."""

    async def forget(taken: Operation, account: str, _: Tell) -> None:
        await shop.forgetting.forget(account, actor=taken.actor, reason=taken.reason)

    runner = OperationRunner(pool, {"forget": forget}, runtime.stop)
    Scheduler(runtime).start("erasing", runner.run_once, _ERASE_EVERY_S)


def prepare() -> None:
    """What is the same in each process, before it is forked: docs/decisions/warm-parent.md."""
    bot_texts()
    build_common()


@cache
def bot_texts() -> Catalogues:
    return Catalogues("services.bot", "bot", *SHARED)


async def together(over: asyncio.Event, *parts: Awaitable[None]) -> None:
    """Run all; when one fails, end the others in good order and raise."""

    async def until_over(part: Awaitable[None]) -> None:
        try:
            await part
        finally:
            over.set()

    results = await asyncio.gather(*map(until_over, parts), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def show_window(runtime: Runtime, shop: BotContext, bot: Bot) -> None:
    """Set description and commands in each language; best effort."""
    for locale in LOCALES:
        code = None if locale == DEFAULT_LOCALE else locale
        while not runtime.stop.is_set():
            try:
                with shop.texts.context(), shop.texts.use_locale(locale):
                    await _set_window(shop, bot, code)
                break
            except Exception as error:
                if not is_transient(error):
                    logger.warning("window_not_set", reason=str(error))
                    return
            await sleep(5, runtime.stop)


async def _set_window(shop: BotContext, bot: Bot, code: str | None) -> None:
    """What is so already stays: Telegram lets these be changed only so often."""
    wanted = commands(invites=shop.invites)
    if await bot.get_my_commands(language_code=code) != wanted:
        await bot.set_my_commands(wanted, language_code=code)
    text = description(shop.settings.free_credits)
    if (await bot.get_my_description(language_code=code)).description != text:
        await bot.set_my_description(text, language_code=code)
    text = short_description()
    if (await bot.get_my_short_description(language_code=code)).short_description != text:
        await bot.set_my_short_description(text, language_code=code)
