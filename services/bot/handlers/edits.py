"""Words that are said anew: a text where a tap is waited for, and messages that were edited."""

from typing import Literal

from aiogram import Bot, Router
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery, Message
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from services.accounts.personal_data import Brief, Draft
from services.adapters.telegram.callback_data import Describe
from services.adapters.telegram.client import answer_tap, edit_text
from services.bot.context import BotContext, Person
from services.bot.handlers.confirm import is_ordered
from services.bot.handlers.order import is_plain_text
from services.bot.order_form import Create, OrderForm, is_current, load_form, save_form
from services.bot.photo_intake import accepted_text, refuse_text
from services.bot.replies import edit_screen, repeat_step, send_screen
from services.bot.screens import order
from services.bot.screens.menu import Screen

router = Router(name="edits")


@router.message(Create.style, is_plain_text)
async def words(message: Message, bot: Bot, person: Person, state: FSMContext) -> None:
    """Ask whether it is a new description: taken for one by mistake, it would be charged."""
    await send_screen(
        bot, person.chat_id, order.new_words(await load_form(state)), answer_to=message.message_id
    )


@router.callback_query(Create.style, Describe.filter(), is_current)
async def describe(
    query: CallbackQuery, bot: Bot, shop: BotContext, person: Person, state: FSMContext
) -> None:
    """Take the message above the button, as it is now."""
    said = query.message.reply_to_message if isinstance(query.message, Message) else None
    text = accepted_text(said.text or "") if said is not None else None
    if said is None or text is None:
        answer = _("This cannot be the description: it is gone, too long, or has no words in it.")
        await answer_tap(bot, query.id, answer, alert=True)
        return
    await save_form(state, replace(await load_form(state), product=text, product_message=said.message_id))
    await edit_screen(bot, query, Screen(_("✍️ I have taken the new description.")))
    await repeat_step(bot, shop, person, state)
    await answer_tap(bot, query.id)


@router.edited_message()
async def edited(message: Message, bot: Bot, shop: BotContext, person: Person, state: FSMContext) -> None:
    """Change the words in the order being made and in every draft that has them; a placed one keeps its own.

    Telegram also sends edits that change no words of ours: those are not answered.
    """
    flow = await load_form(state)
    drafts = await shop.people.drafts_with(person.account, message.message_id)
    placed = [draft for draft in drafts if await is_ordered(shop, draft)]
    old: list[tuple[OrderForm | Draft, Brief]] = [(flow, Brief(flow.product, flow.wishes))]
    old += [(draft, await shop.people.brief(draft.brief) or Brief("")) for draft in drafts]
    text = accepted_text(message.text or message.caption or "")
    new = [(of, replace(brief, **{part: text or ""})) for of, brief in old if (part := _part(of, message))]
    changed = [(of, brief) for of, brief in new if (of, brief) not in old]
    to_change = [(of, brief) for of, brief in changed if of not in placed]
    if changed and not to_change:
        answer = _("✏️ The order with these words is placed already: it is made with the words as they were.")
        await send_screen(bot, person.chat_id, Screen(answer), answer_to=message.message_id)
    elif to_change and text is None:
        await refuse_text(message, bot, person, state, flow)
    elif to_change:
        for of, brief in to_change:
            if isinstance(of, OrderForm):
                await save_form(state, replace(flow, product=brief.product, wishes=brief.wishes))
            else:
                await _change(bot, shop, person, flow, of, brief)
        await send_screen(bot, person.chat_id, Screen(_("✏️ I have taken the changed words.")))


async def _change(
    bot: Bot, shop: BotContext, person: Person, flow: OrderForm, draft: Draft, brief: Brief
) -> None:
    """Change a draft's words and the screen that shows them."""
    await shop.people.change_text(draft.brief, brief)
    if draft.message_id is not None:
        quoted = flow.draft == draft.draft and bool(flow.photo_message)
        screen = order.confirm(draft, brief, (await shop.account(person)).balance, photo_quoted=quoted)
        await edit_text(bot, person.chat_id, draft.message_id, screen.text, screen.buttons)


def _part(of: OrderForm | Draft, message: Message) -> Literal["product", "wishes"] | None:
    """What the message says in it."""
    if of.product_message == message.message_id:
        return "product"
    return "wishes" if of.wishes_message == message.message_id else None
