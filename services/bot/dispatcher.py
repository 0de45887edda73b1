"""The routers in their order, and what stands before them."""

from aiogram import Dispatcher
from aiogram.fsm.storage.base import BaseStorage
from aiogram.fsm.strategy import FSMStrategy

from services.bot.context import BotContext, Consents
from services.bot.handlers import admin, confirm, drafts, fallback, menu, order, terms, topup
from services.bot.middleware import Locales, PersonMiddleware, RepeatedTaps

ALLOWED_UPDATES = ("message", "edited_message", "callback_query", "pre_checkout_query")


def build_dispatcher(shop: BotContext, places: BaseStorage, locales: Locales) -> Dispatcher:
    """A dispatcher for one process. Handlers get `shop` and `person`."""
    dispatcher = Dispatcher(storage=places, fsm_strategy=FSMStrategy.GLOBAL_USER, disable_fsm=True, shop=shop)
    who, taps = PersonMiddleware(shop, Consents(shop.ledger), locales), RepeatedTaps()
    dispatcher.message.outer_middleware(topup.StarsMiddleware(shop))
    for observer in (dispatcher.message, dispatcher.edited_message, dispatcher.callback_query):
        # Here and not before all updates: what is about money is answered while Redis is away.
        observer.outer_middleware(dispatcher.fsm)
        observer.outer_middleware(who)
        observer.outer_middleware(taps)
    dispatcher.pre_checkout_query.outer_middleware(who)
    dispatcher.include_routers(
        fallback.foreign,
        terms.router,
        admin.router,
        menu.router,
        topup.router,
        confirm.router,
        drafts.router,
        order.router,
        fallback.router,
    )
    return dispatcher
