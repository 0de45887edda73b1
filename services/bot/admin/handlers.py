"""Admins in the chat: `/grant`, `/refund_job`, `/user`. To everybody else these commands do not exist.

What changes something is confirmed with a button and is an event with `admin:<name>` as its actor; a name, as
in ADMIN_IDS, since events hold no Telegram ids. The key is made from the command's message: two taps are one.
"""

import html

import structlog
from aiogram import Bot, Router
from aiogram.filters import Command
from aiogram.types import CallbackQuery, Message, TelegramObject

from ledger.errors import RejectedError
from services.adapters.telegram.callback_data import AdminDo, AdminDrop
from services.adapters.telegram.client import answer_tap
from services.bot.admin.parse import USAGE, digest, read_wish
from services.bot.admin.plan import plan_of
from services.bot.context import BotContext, Person
from services.bot.replies import edit_screen, send_screen
from services.bot.screens.menu import Screen, button, keyboard

logger = structlog.get_logger()
router = Router(name="admin")


async def is_admin(event: TelegramObject, shop: BotContext, person: Person) -> bool:
    """The filter of this router."""
    return person.chat_id in shop.settings.admins


router.message.filter(is_admin)
router.callback_query.filter(is_admin)


@router.message(Command(*USAGE))
async def asked(message: Message, bot: Bot, shop: BotContext, person: Person) -> None:
    """Show what it would do; `/user` changes nothing and is answered at once."""
    wish = read_wish(message.text or "")
    if wish is None:
        usage = "\n".join(USAGE.values())
        text = f"🛠 I read commands like these:\n<code>{html.escape(usage)}</code>"
        await send_screen(bot, person.chat_id, Screen(text), answer_to=message.message_id)
        return
    plan = await plan_of(shop, wish)
    if plan is None or plan.command is None:
        text = plan.words if plan else "🛠 There is no such user or job."
        await send_screen(bot, person.chat_id, Screen(text), answer_to=message.message_id)
        return
    rows = keyboard(
        [button("✅ Do it", AdminDo(digest=digest(message)).pack()), button("✖️ Leave it", AdminDrop().pack())]
    )
    await send_screen(bot, person.chat_id, Screen(plan.words, rows), answer_to=message.message_id)


@router.callback_query(AdminDo.filter())
async def confirmed(
    query: CallbackQuery, callback_data: AdminDo, bot: Bot, shop: BotContext, person: Person
) -> None:
    said = query.message.reply_to_message if isinstance(query.message, Message) else None
    if said is None or digest(said) != callback_data.digest:
        await edit_screen(
            bot, query, Screen("🛠 The command above is gone or was changed. Please send it again.")
        )
        await answer_tap(bot, query.id)
        return
    wish = read_wish(said.text or "")
    plan = None if wish is None else await plan_of(shop, wish)
    if plan is None or plan.command is None:
        await edit_screen(bot, query, Screen("🛠 There is no such user or job any more. Nothing was done."))
        await answer_tap(bot, query.id)
        return
    actor = f"admin:{shop.settings.admins[person.chat_id]}"
    command = plan.command(actor)
    try:
        receipt = await shop.ledger.execute(command, key=f"admin:{callback_data.digest}")
    except RejectedError as error:
        await edit_screen(bot, query, Screen(f"🛠 Refused: {html.escape(str(error))}. Nothing was done."))
    else:
        logger.info("admin_command_done", command=type(command).__name__, actor=actor)
        await edit_screen(bot, query, Screen(f"{plan.words}\n\n✅ Done at position {receipt.position}."))
    await answer_tap(bot, query.id)


@router.callback_query(AdminDrop.filter())
async def dropped(query: CallbackQuery, bot: Bot) -> None:
    await edit_screen(bot, query, Screen("✖️ Left as it was."))
    await answer_tap(bot, query.id)
