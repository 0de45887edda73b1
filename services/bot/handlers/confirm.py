"""From the confirm screen to the order, by the draft in Postgres.

The draft's id is the order's idempotency key, and the jobs' ids are made with the draft, so asking twice is
asking once. The status message is edited *before* the order is placed: the notifier, which edits it from the
commit on, can then never be overwritten by us. After a kill between the commit and our answer the update
comes again, and the ledger says that it is done.
"""

import time

import structlog
from aiogram import Router
from aiogram.fsm.context import FSMContext
from aiogram.types import CallbackQuery
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from ledger import commands as c
from ledger.commands import OrderVideos
from ledger.errors import InsufficientCreditsError, KeyReusedError
from services.accounts.personal_data import Brief, Draft
from services.adapters.telegram.callback_data import Order
from services.adapters.telegram.client import edit_text
from services.bot.context import BotContext
from services.bot.order_form import Create, OrderForm, load_form
from services.bot.replies import Conversation
from services.bot.screens import order as steps
from services.bot.screens.labels import credits_text, videos_text
from services.bot.screens.menu import Screen, home_button, keyboard
from services.bot.screens.refusals import refused
from services.generation.catalogue import Model
from services.platform import tracing
from services.platform.ids import new_id

logger = structlog.get_logger()
# The tap that made an order, as the root of each of its jobs' traces.


def record_order(order: OrderVideos, position: int, tapped_ns: int, append_ns: tuple[int, int]) -> None:
    """Trace an order just placed: tapped at `tapped_ns`, appended between two times (time.time_ns). Only now
    it is known that this tap was the one: of several, one makes the order."""
    call = {"db.system.name": "postgresql", "db.operation.name": "append"}
    for job in order.jobs:
        tracing.record("append OrderVideos", "client", job, append_ns, attributes=call, position=position)
        tracing.record(
            "order",
            "server",
            job,
            (tapped_ns, time.time_ns()),
            root=True,
            account=order.account,
            order=order.order,
            model=order.model,
            style=order.style,
            position=position,
        )


router = Router(name="confirm")


async def offer(chat: Conversation, flow: OrderForm, count: int, balance: int) -> None:
    """Make the draft and show the confirm screen, later the status message. Idempotent."""
    if not await chat.shop.people.use_blob(flow.photo):
        await chat.send_screen(steps.photo_gone())
        await chat.state.clear()
        return
    draft = await _make_draft(chat, flow, count)
    if len(draft.jobs) != count:  # made by an attempt that failed half-way; this is another choice
        flow = replace(flow, draft=new_id())
        await chat.save_form(flow)
        draft = await _make_draft(chat, flow, count)
    if draft.message_id is None:
        brief = Brief(flow.product, flow.wishes)
        screen = steps.confirm(draft, brief, balance, photo_quoted=bool(flow.photo_message))
        message_id = await chat.send_screen(screen, answer_to=flow.photo_message)
        await chat.shop.people.set_draft_message(draft.draft, message_id)
    await chat.state.set_state(Create.confirm)


async def _make_draft(chat: Conversation, flow: OrderForm, count: int) -> Draft:
    words = Brief(flow.product, flow.wishes)
    brief = await chat.shop.people.keep_text(chat.person.account, words, ref=flow.draft)
    return await chat.shop.people.save_draft(
        Draft(
            draft=flow.draft,
            account=chat.person.account,
            chat_id=chat.person.chat_id,
            message_id=None,
            photo=flow.photo,
            brief=brief,
            style=flow.style,
            model=chat.shop.model.slug,
            jobs=tuple(new_id() for _job in range(count)),
            price=chat.shop.model.price_credits,
            product_message=flow.product_message,
            wishes_message=flow.wishes_message,
        )
    )


async def own_draft(chat: Conversation, draft_id: str) -> Draft | None:
    draft = await chat.shop.people.draft(draft_id)
    if draft is not None and draft.account == chat.person.account:
        return draft
    if draft is not None:
        logger.warning("foreign_button_tapped", account=chat.person.account)
        await chat.answer_tap(_("This button is not yours."), alert=True)
    else:
        await chat.answer_tap(_("This order is no longer there. Start a new one from the /menu."))
        await chat.remove_buttons()
    return None


async def open_draft(chat: Conversation, draft_id: str, too_late: str) -> Draft | None:
    """The person's draft, if not ordered yet; otherwise they are told, with `too_late` if it is."""
    draft = await own_draft(chat, draft_id)
    if draft is None or not await is_ordered(chat.shop, draft):
        return draft
    await settle(chat, draft)
    await chat.answer_tap(too_late, alert=True)
    return None


async def is_ordered(shop: BotContext, draft: Draft) -> bool:
    """Whether the ledger has the order; the draft's own mark may lag behind it."""
    return draft.ordered or bool((await shop.ledger.read.job(draft.jobs[0])).account)


@router.callback_query(Order.filter())
async def order(query: CallbackQuery, callback_data: Order, chat: Conversation) -> None:
    tapped_ns = time.time_ns()
    draft = await own_draft(chat, callback_data.draft)
    if draft is None:
        return
    if await is_ordered(chat.shop, draft):
        await settle(chat, draft)
        await chat.answer_tap(_("This order is placed already: one tap is enough."))
        return
    model = chat.shop.catalogue.model(draft.model)
    if model is None or not chat.shop.takes_orders(model) or model.price_credits != draft.price:
        await _refuse_outdated(chat, draft, model)
        return
    late_s = await too_late_s(chat, model, len(draft.jobs))
    if late_s:
        await chat.edit_screen(steps.overloaded(draft, late_s))
        await chat.answer_tap(_("Very many orders right now."))
        return
    needed = draft.price * len(draft.jobs)
    balance = await chat.balance()
    if balance >= needed and (found := await chat.shop.moderation.findings(draft)):
        await chat.edit_screen(refused(draft, found))
        await chat.answer_tap(_("Nothing was charged: please change the order."))
        return
    if balance >= needed and await _place(chat, draft, model, tapped_ns):
        await settle(chat, draft)
        text = _("✅ Accepted: {videos}, {price} charged.")
        text = text.format(videos=videos_text(len(draft.jobs)), price=credits_text(needed))
        await chat.answer_tap(text)
        return
    balance = await chat.balance()
    await chat.edit_screen(steps.short_of_credits(draft, balance))
    await chat.answer_tap(_("Not enough credits."))


async def too_late_s(chat: Conversation, model: Model, jobs: int) -> float:
    """Seconds by which an order made now would miss its deadline; 0 when in time."""
    late_s = (await chat.shop.estimate(model, chat.person, jobs)).too_late_s(chat.shop.deadline_s(model))
    if late_s:
        logger.warning("order_discouraged", model=model.slug, jobs=jobs, late_s=round(late_s))
    return late_s


async def _place(chat: Conversation, draft: Draft, model: Model, tapped_ns: int) -> bool:
    """Show that it is queued and order; False when the credits do not suffice after all."""
    expected_s = (await chat.shop.estimate(model, chat.person, len(draft.jobs))).usual_s
    queued = steps.queued(draft, expected_s)
    message = chat.tapped.message
    message_id = message.message_id if message is not None else draft.message_id
    if message_id is None or not await edit_text(chat.bot, chat.person.chat_id, message_id, queued.text):
        message_id = await chat.send_screen(queued)
    await chat.shop.people.set_draft_message(draft.draft, message_id)
    command = c.OrderVideos(
        account=draft.account,
        order=draft.draft,
        jobs=draft.jobs,
        price=draft.price,
        model=draft.model,
        style=draft.style,
        photo=draft.photo,
        brief=draft.brief,
        locale=chat.person.locale,
        deadline_s=chat.shop.deadline_s(model),
        format=model.format,
        seconds=model.duration_s,
    )
    began_ns = time.time_ns()
    try:
        receipt = await chat.shop.ledger.execute(command, key=f"order:{draft.draft}")
    except InsufficientCreditsError:
        return False
    except KeyReusedError:  # committed meanwhile with another language or deadline: it is the same order
        logger.info("order_found", order=draft.draft, jobs=list(draft.jobs))
        return True
    record_order(command, receipt.position, tapped_ns, (began_ns, time.time_ns()))
    logger.info("order_placed", order=draft.draft, jobs=list(draft.jobs), position=receipt.position)
    return True


async def settle(chat: Conversation, draft: Draft) -> None:
    """Mark the draft ordered; the person's place is free, unless they make another one."""
    if not draft.ordered:
        await chat.shop.people.mark_ordered(draft.draft)
    await leave(chat.state, draft)


async def leave(state: FSMContext, draft: Draft) -> None:
    if (await load_form(state)).draft == draft.draft:
        await state.clear()


async def _refuse_outdated(chat: Conversation, draft: Draft, model: Model | None) -> None:
    if model is None or not chat.shop.takes_orders(model):
        await chat.edit_screen(steps.unavailable(draft))
        await chat.answer_tap(_("Temporarily unavailable."))
        return
    text = _("💰 The price has changed since: a video costs {price} now. Nothing was charged.")
    rows = keyboard([steps.again_button(draft)], [home_button()])
    await chat.edit_screen(Screen(text.format(price=credits_text(model.price_credits)), rows))
    await chat.answer_tap(_("The price has changed."))
