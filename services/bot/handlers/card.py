"""Taps on the order card and on what is asked beside it."""

from typing import Final, get_args

from aiogram import Bot, Router
from aiogram.types import CallbackQuery
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from ledger.commands import RateVideo
from ledger.errors import AlreadyExistsError, KeyReusedError, RejectedError
from services.accounts.drafts import Draft, View
from services.adapters.telegram.callback_data import CardButton, Rate
from services.adapters.telegram.client import edit_caption
from services.bot.card_message import put_photo, show
from services.bot.context import BotContext
from services.bot.handlers.order import change, drop, take_offered, take_offered_photo
from services.bot.handlers.place_order import own_draft, place
from services.bot.replies import Conversation
from services.bot.screens import card
from services.bot.screens.card import NUMBERS, stale_text
from services.bot.screens.menu import Screen
from services.generation.prompts.styles import load_styles, style_of

router = Router(name="card")

_VIEWS: Final[tuple[View, ...]] = get_args(View)


@router.callback_query(CardButton.filter())
async def tapped(query: CallbackQuery, callback_data: CardButton, chat: Conversation) -> None:
    draft = await own_draft(chat, callback_data.draft)
    if draft is None:
        return
    if draft.confirmed or draft.ordered:
        await chat.remove_buttons(but_of=draft.message_id)
        await place(chat, draft)
        return
    if callback_data.do in ("words", "photo"):
        await _offered(chat, draft, callback_data)
        return
    message = query.message.message_id if query.message is not None else draft.message_id
    if callback_data.do != "cancel" and message != draft.message_id:
        await chat.remove_buttons()
        await chat.answer_tap(stale_text())
    elif callback_data.version != draft.version:
        if draft.changed_by != chat.update_id:  # else this very tap made the newest version
            await chat.answer_tap(stale_text())
        await show(chat, draft)
    elif callback_data.do == "cancel":
        await chat.remove_buttons(but_of=draft.message_id)
        await drop(chat, draft)
    elif callback_data.do == "view":
        await _look(chat, draft, callback_data.value)
    elif callback_data.do == "look" and callback_data.value in load_styles():
        await _look(chat, draft, "styles", callback_data.value)
    elif (changed := _choice(draft, callback_data)) is not None:
        await change(chat, changed)
    else:
        await chat.answer_tap(stale_text())


async def show_balance(bot: Bot, shop: BotContext, telegram_id: int) -> None:
    """Edit the balance, which has changed, on the card; not on one that is placed, or says something else."""
    person = await shop.people.of_telegram(telegram_id)
    draft = await shop.drafts.open(person.account) if person is not None else None
    if person is None or draft is None or draft.message_id is None:
        return
    if draft.confirmed or draft.noted or draft.shown != draft.version:
        return
    balance = (await shop.ledger.read.account(person.account)).balance
    with shop.texts.context(), shop.texts.use_locale(person.locale):
        screen = card.screen(draft, balance)
    await edit_caption(bot, telegram_id, draft.message_id, screen.text, screen.buttons)


@router.callback_query(Rate.filter())
async def rated(query: CallbackQuery, callback_data: Rate, chat: Conversation) -> None:
    """Record a rating; the card is the notifier's, which takes the buttons away."""
    command = RateVideo(callback_data.job, chat.person.account, callback_data.stars)
    try:
        await chat.shop.ledger.execute(command, key=f"rate:{callback_data.job}")
    except (KeyReusedError, AlreadyExistsError):
        await chat.answer_tap(_("You have rated this video already."))
    except RejectedError:
        await chat.answer_tap(_("This video cannot be rated."))
    else:
        await chat.answer_tap(_("💛 Thank you: this helps us to make better styles."))


async def _look(chat: Conversation, draft: Draft, view: str, style: str = "") -> None:
    found: View = next((known for known in _VIEWS if known == view), "")
    seen = await chat.shop.drafts.look(draft.draft, found, draft.offered, style)
    if seen is not None:
        await show(chat, seen)


def _choice(draft: Draft, button: CardButton) -> Draft | None:
    """The draft with what was chosen; None when that is not (any more) on offer."""
    style, value = style_of(draft.style), button.value
    match button.do:
        case "style" if value in load_styles():
            return replace(draft, style=value, view="")
        case "format" if value in style.formats:
            return replace(draft, format=value, view="")
        case "seconds" if value in map(str, style.seconds):
            return replace(draft, seconds=int(value), view="")
        case "number" if value in map(str, NUMBERS):
            return replace(draft, number=int(value), view="")
        case "empty" if value == "wishes":
            return replace(draft, words=replace(draft.words, wishes=""), wishes_message=0, view="")
    return None


async def _offered(chat: Conversation, draft: Draft, button: CardButton) -> None:
    """Take or leave an offered text or photo."""
    answer, offered = button.value.rstrip("0123456789"), draft.offered
    if draft.changed_by == chat.update_id:  # this very tap once more
        await (put_photo if answer == "yes" else show)(chat, draft)
    elif offered is None or button.value != f"{answer}{offered.message}":
        await chat.answer_tap(stale_text())
    elif answer == "no":
        await chat.shop.drafts.look(draft.draft, draft.view)
        await chat.edit_screen(Screen(_("👌 The order stays as it is.")))
        return
    elif answer in ("product", "wishes") and await take_offered(chat, draft, answer):
        await chat.edit_screen(Screen(_("✍️ I have taken the new words.")))
        return
    elif answer == "yes" and await take_offered_photo(chat, draft):
        await chat.edit_screen(Screen(_("📷 I have taken the new photo instead of the old one.")))
        return
    await chat.remove_buttons()
