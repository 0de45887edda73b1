"""Before the terms are accepted: the terms, whatever is said."""

from contextlib import suppress

from aiogram import Bot, Router
from aiogram.filters import CommandObject, CommandStart
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message, TelegramObject
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from ledger import commands as c
from ledger.errors import KeyReused
from services.adapters.telegram import answer_tap
from services.bot import gifts, screens
from services.bot.flow import keep, load, unfinished
from services.bot.routers import create
from services.bot.routers.create import is_photo
from services.bot.shop import TERMS_VERSION, Person, Shop
from services.bot.talk import say, show
from services.shared.buttons import AcceptTerms, ChooseLanguage
from services.shared.i18n import LOCALES
from services.shared.people import forgotten_names

router = Router(name="terms")


async def not_accepted(event: TelegramObject, person: Person) -> bool:
    """The filter of this router."""
    return not person.accepted


router.message.filter(not_accepted)
router.callback_query.filter(not_accepted)


@router.message(CommandStart(deep_link=True))
async def follow_link(message: Message, command: CommandObject, bot: Bot, shop: Shop, person: Person) -> None:
    """Somebody comes by a link, maybe a friend's."""
    await gifts.remember_inviter(shop, person, command.args or "")
    await show_terms(message, bot, shop, person)


@router.message(is_photo)
async def keep_photo(message: Message, bot: Bot, shop: Shop, person: Person, state: FSMContext) -> None:
    """Remember where the photo is, not the photo; of an album the first."""
    flow = await load(state)
    if message.media_group_id and message.media_group_id == flow.early.get("media_group_id"):
        return
    early = message.model_dump(mode="json", by_alias=True, exclude_none=True)
    await keep(state, replace(flow, early=early))
    await say(bot, person.chat_id, screens.terms(shop, person.locale, photo=True))


@router.message()
async def show_terms(message: Message, bot: Bot, shop: Shop, person: Person) -> None:
    await say(bot, person.chat_id, screens.terms(shop, person.locale))


@router.callback_query(AcceptTerms.filter())
async def accept(
    query: CallbackQuery,
    callback_data: AcceptTerms,
    bot: Bot,
    shop: Shop,
    person: Person,
    state: FSMContext,
) -> None:
    """Agree, and be welcome."""
    if callback_data.version != TERMS_VERSION:
        await answer_tap(
            bot, query.id, _("These terms are out of date. Please read the new ones."), alert=True
        )
        await say(bot, person.chat_id, screens.terms(shop, person.locale))
        return
    await accept_terms(shop, person)
    await welcome(query, bot, shop, person, state)


async def welcome(query: CallbackQuery, bot: Bot, shop: Shop, person: Person, state: FSMContext) -> None:
    """In place of the terms, also when tapped again; then a photo that came before them is taken."""
    await show(bot, query, screens.welcome((await shop.account(person)).balance))
    await answer_tap(bot, query.id)
    flow = await load(state)
    if not flow.early:
        return
    if await unfinished(state) is None:
        await create.photo(Message.model_validate(flow.early), bot, shop, person, state)
    await keep(state, replace(await load(state), early={}))


@router.callback_query(ChooseLanguage.filter())
async def choose_language(
    query: CallbackQuery, callback_data: ChooseLanguage, bot: Bot, shop: Shop, person: Person
) -> None:
    if callback_data.locale in LOCALES:
        await shop.people.set_locale(person.account, callback_data.locale)
        with shop.texts.use_locale(callback_data.locale):
            await show(bot, query, screens.terms(shop, callback_data.locale))
    await answer_tap(bot, query.id)


@router.callback_query()
async def terms_first(query: CallbackQuery, bot: Bot, shop: Shop, person: Person) -> None:
    await answer_tap(bot, query.id, _("Please accept the terms first."))
    await say(bot, person.chat_id, screens.terms(shop, person.locale))


async def accept_terms(shop: Shop, person: Person) -> None:
    """Open the account and record the agreement; a person's first one ever brings the welcome gift.

    Who was erased and comes back owes what they owed.
    """
    account = person.account
    debt = await shop.people.remembered(forgotten_names(shop.settings, person.chat_id))
    await shop.ledger.execute(c.OpenAccount(account, debt=debt or 0), key=f"open:{account}")
    welcome = shop.settings.free_credits if debt is None else 0
    command = c.AcceptTerms(account, TERMS_VERSION, welcome)
    with suppress(KeyReused):  # agreed to while FREE_CREDITS was another number; that agreement stands
        await shop.ledger.execute(command, key=f"terms:{account}:{TERMS_VERSION}")
