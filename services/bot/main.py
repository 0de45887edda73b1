"""`neurocards serve bot`: the seller's side of the chat."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Final

import structlog
from aiogram import Bot
from aiogram.types import BotCommand

from ledger.log import Ledger
from services.adapters.kie.catalogue import load_catalogue
from services.adapters.openai.moderation import Moderator
from services.adapters.telegram import create_bot, is_transient
from services.adapters.telegram_rate_limit import RateLimit
from services.adapters.yookassa.gateway import YooKassa
from services.bot.dispatcher import ALLOWED_UPDATES, build_dispatcher
from services.bot.flow import storage
from services.bot.handler import BotHandler
from services.bot.history import History
from services.bot.moderation import Moderation
from services.bot.person import Locales
from services.bot.polling import Polling
from services.bot.shop import Shop
from services.bot.till import Till
from services.bot.verdicts import Verdicts
from services.shared.blobs import open_blobs
from services.shared.database import create_pool
from services.shared.i18n import DEFAULT_LOCALE, LOCALES, Catalogues
from services.shared.inbox import Inbox, InboxRunner, Turn
from services.shared.inbox.trouble import DATABASE_AWAY
from services.shared.load.load import MEASURE_EVERY_S, Outlook, capacity
from services.shared.models.book import CircuitBook
from services.shared.models.circuits import READ_EVERY_S, Circuits
from services.shared.payments.desk import Desk
from services.shared.payments.stars_desk import StarsDesk
from services.shared.payments.yookassa_desk import YooKassaDesk
from services.shared.people import People
from services.shared.periodic import repeat
from services.shared.redis_client import command_client
from services.shared.runtime import Runtime
from services.shared.settings import Settings
from services.shared.telegram_limits import TelegramLimits, rates_for

logger = structlog.get_logger()

TURN_LOCK: Final = 7_300_010
_CLEAN_EVERY_S: Final = 3600.0
_POOL_MAX: Final = 16


async def serve(settings: Settings) -> None:
    """Run until told to stop. Needs Postgres; waits for Redis and Telegram."""
    _ = settings.forget_secrets  # without one nobody who comes back is known
    logging.getLogger("aiogram.event").setLevel(logging.WARNING)  # a line per update otherwise
    async with Runtime(settings, "bot") as runtime:
        pool = await create_pool(settings, "bot", max_size=_POOL_MAX)
        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        redis = command_client(settings)
        bot, moderator = create_bot(settings), Moderator(settings)
        bot.session.middleware(RateLimit(TelegramLimits(redis, rates_for(settings))))
        try:
            url = settings.require_database_url()
            async with pool, Ledger(url, pool) as ledger, YooKassa(settings) as yookassa:
                texts, locales = bot_texts(), Locales()
                history = History(pool, ledger.read)
                people, blobs = People(pool), open_blobs(settings)
                shop = Shop(
                    settings,
                    people,
                    ledger,
                    blobs,
                    history,
                    load_catalogue(),
                    texts,
                    Moderation(settings.moderation, moderator, Verdicts(pool), people, blobs),
                    open_till(Desk(settings, ledger, pool), yookassa, bot),
                    Circuits(CircuitBook(pool)),
                    Outlook(pool, capacity(settings)),
                )
                handler = BotHandler(bot, build_dispatcher(shop, storage(redis), locales), texts, locales)
                inbox = Inbox(pool)

                async def work(over: asyncio.Event) -> None:
                    money, rest = (InboxRunner(inbox, handler, urgent=urgent) for urgent in (True, False))
                    runtime.health.tell({"inbox_urgent": money.status, "inbox": rest.status})
                    polling = Polling(bot, inbox, [money, rest], list(ALLOWED_UPDATES))
                    await together(over, money.run(over), rest.run(over), polling.run(over))

                turn = Turn(settings, "bot", TURN_LOCK, runtime.stop)
                runtime.health.tell({"has_turn": lambda: turn.mine})
                runtime.spawn(turn.run(work), "updates")
                runtime.spawn(tell_commands(runtime, bot, texts), "commands", may_end=True)
                runtime.spawn(clean(runtime, inbox), "clean")
                spawn_views(runtime, shop)
                runtime.ready()
                await runtime.wait()
        finally:
            await bot.session.close()
            await moderator.close()
            await redis.aclose()


def open_till(desk: Desk, yookassa: YooKassa, bot: Bot) -> Till:
    """The desk with its hands at both providers."""
    return Till(desk, YooKassaDesk(desk, yookassa), StarsDesk(desk, bot))


def spawn_views(runtime: Runtime, shop: Shop) -> None:
    """Keep what handlers ask without waiting up to date."""
    circuits, times = shop.circuits, shop.outlook.times
    runtime.spawn(repeat(circuits.refresh, runtime.stop, "circuits", idle_s=READ_EVERY_S), "circuits")
    runtime.spawn(repeat(times.measure, runtime.stop, "render_times", idle_s=MEASURE_EVERY_S), "render_times")


def bot_texts() -> Catalogues:
    """The bot's catalogues."""
    return Catalogues("services.bot", "bot")


async def together(over: asyncio.Event, *parts: Awaitable[None]) -> None:
    """Handle and poll; when one fails, end the others in good order and raise."""

    async def until_over(part: Awaitable[None]) -> None:
        try:
            await part
        finally:
            over.set()

    results = await asyncio.gather(*map(until_over, parts), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def commands(texts: Catalogues, locale: str) -> list[BotCommand]:
    """The commands a client offers."""

    def _(msgid: str) -> str:
        return texts.gettext(msgid, locale=locale)

    described = {
        "menu": _("Menu"),
        "create": _("Create a video"),
        "cabinet": _("Balance and history"),
        "topup": _("Buy credits"),
        "promo": _("Use a promo code"),
        "help": _("How it works"),
        "language": _("Language"),
        "support": _("Support"),
        "paysupport": _("Questions about a payment"),
        "terms": _("The terms"),
        "cancel": _("Drop the current order"),
    }
    return [BotCommand(command=name, description=text) for name, text in described.items()]


async def tell_commands(runtime: Runtime, bot: Bot, texts: Catalogues) -> None:
    """Tell Telegram our commands, in each language; not worth more than patience."""
    for locale in LOCALES:
        code = None if locale == DEFAULT_LOCALE else locale
        while True:
            try:
                await bot.set_my_commands(commands(texts, locale), language_code=code)
                break
            except Exception as error:
                if not is_transient(error):
                    logger.warning("commands_not_told", reason=str(error))
                    return
            if not await runtime.sleep(5):
                return


async def clean(runtime: Runtime, inbox: Inbox) -> None:
    """Forget parked updates in time: they hold personal data."""
    while True:
        try:
            if forgotten := await inbox.forget_parked():
                logger.info("parked_updates_forgotten", count=forgotten)
        except DATABASE_AWAY as error:
            logger.warning("cleaning_postponed", reason=repr(error))
        if not await runtime.sleep(_CLEAN_EVERY_S):
            return
