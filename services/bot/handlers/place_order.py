"""From the create button to the order, by the draft in Postgres.

The draft's id is the order's idempotency key, and the jobs' ids are made with its confirmation, so asking
twice is asking once. The card is edited *before* the order is placed: the notifier, which edits it from the
commit on, can then never be overwritten by us. After a kill whoever touches the draft next, first of all the
same update once more, asks for the order again.
"""

import time

import structlog
from aiogram import Router
from aiogram.types import CallbackQuery
from aiogram.utils.i18n import gettext as _
from msgspec.structs import replace

from ledger import commands as c
from ledger.commands import OrderVideos
from ledger.errors import InsufficientCreditsError, KeyReusedError, SalesPausedError
from services.accounts.drafts import Draft
from services.adapters.telegram.callback_data import Order
from services.adapters.telegram.order_labels import credits_text, videos_text
from services.bot.card_message import put, show
from services.bot.context import BotContext
from services.bot.replies import Conversation
from services.bot.screens import card
from services.bot.screens.refusals import paused_text, refused_text
from services.generation.catalogue import Model
from services.generation.prompts.styles import style_of
from services.platform import tracing
from services.platform.ids import new_id

logger = structlog.get_logger()

router = Router(name="place_order")


async def own_draft(chat: Conversation, draft_id: str) -> Draft | None:
    """The person's draft; else they are told."""
    draft = await chat.shop.drafts.find(draft_id)
    if draft is not None and draft.account == chat.person.account:
        return draft
    if draft is not None:
        logger.warning("foreign_button_tapped", account=chat.person.account)
        await chat.answer_tap(_("This button is not yours."), alert=True)
    else:
        await chat.answer_tap(_("This order is no longer there. Start a new one from the /menu."))
        await chat.remove_buttons()
    return None


@router.callback_query(Order.filter())
async def order(query: CallbackQuery, callback_data: Order, chat: Conversation) -> None:
    draft = await own_draft(chat, callback_data.draft)
    if draft is None:
        return
    await chat.remove_buttons(but_of=draft.message_id)  # of a card that was sent twice
    if not (draft.confirmed or draft.ordered) and callback_data.version != draft.version:
        await chat.answer_tap(card.changed_text())
        await show(chat, draft)
    else:
        await place(chat, draft)
    if query.message is not None and query.message.message_id != draft.message_id:  # it told of money
        await chat.lead_back()  # to what the card says, unless it is ordered


def priced(chat: Conversation, draft: Draft) -> Draft:
    """Fit format and length to the style, and set model and price."""
    style = style_of(draft.style)
    sides = draft.format if draft.format in style.formats else style.formats[0]
    seconds = draft.seconds if draft.seconds in style.seconds else style.seconds[0]
    model = chat.shop.maker(draft.style, sides, seconds)
    return replace(draft, format=sides, seconds=seconds, model=model.slug, price=model.price(seconds))


def _model(chat: Conversation, draft: Draft) -> Model:
    return chat.shop.catalogue.model(draft.model) or chat.shop.model


def unavailable(chat: Conversation, draft: Draft) -> str:
    """Reason for which no model takes the order; empty: one does."""
    model = _model(chat, draft)
    if chat.shop.takes_orders(model, draft.format, draft.seconds):
        return ""
    return card.unavailable_text(chat.shop.rest_s(model))


async def begin(chat: Conversation, draft: Draft) -> None:
    """Make a draft, send its card; says at once when it cannot be ordered now."""
    made = await chat.shop.drafts.make(priced(chat, draft))
    if made is not None:  # else another process was faster with the same update
        why = await chat.shop.sales_closed()
        note = paused_text(why) if why else unavailable(chat, made)
        await show(chat, made, note, *([card.tell_me(made.draft)] if note else []))


async def place(chat: Conversation, draft: Draft) -> None:
    """Place the order, or say on the card why not; a confirmed one is asked for again."""
    tapped_ns = time.time_ns()
    if draft.ordered or draft.confirmed:
        if draft.ordered or await _is_in_ledger(chat.shop, draft):
            await _settle(chat, draft)
            await chat.shop.drafts.show_order(draft.draft)
            await chat.answer_tap(_("This order is placed already: one tap is enough."))
        else:
            await _place(chat, draft, tapped_ns)
        return
    if (missing := card.missing(draft)) is not None:
        await show(chat, await chat.shop.drafts.look(draft.draft, missing) or draft)
        return
    now, needed = priced(chat, draft), draft.price * draft.number
    model = _model(chat, now)
    if why := await chat.shop.sales_closed():
        await show(chat, draft, paused_text(why), card.tell_me(draft.draft))
        await chat.answer_tap(_("Nothing was charged."))
    elif note := unavailable(chat, now):
        await show(chat, draft, note, card.tell_me(draft.draft))
        await chat.answer_tap(_("Temporarily unavailable."))
    elif (now.price, card.made(now)) != (draft.price, card.made(draft)):
        if (changed := await chat.shop.drafts.change(now, chat.update_id)) is not None:
            await show(chat, changed, card.changed_text())
        await chat.answer_tap(card.changed_text())
    elif late_s := await too_late_s(chat, model, draft.number):
        await show(chat, draft, card.overloaded_text(late_s), card.tell_me(draft.draft))
        await chat.answer_tap(_("Very many orders right now."))
    elif (balance := await chat.balance()) < needed:
        await show(chat, draft, card.short_text(needed, balance))
        await chat.answer_tap(_("Not enough credits."))
    elif found := await chat.shop.moderation.findings(draft):
        await show(chat, draft, refused_text(draft, found), *card.repairs(draft, found))
        await chat.answer_tap(_("Nothing was charged: please change the order."))
    else:
        await _confirm(chat, now, tapped_ns)


async def _confirm(chat: Conversation, draft: Draft, tapped_ns: int) -> None:
    jobs = [new_id() for _job in range(draft.number)]
    confirmed = await chat.shop.drafts.confirm(draft, jobs, chat.update_id)
    if confirmed is not None:
        await _place(chat, confirmed, tapped_ns)


async def _place(chat: Conversation, draft: Draft, tapped_ns: int) -> None:
    """Show that it is placed, unless that was done, then append it; from then on the card is not ours."""
    model = _model(chat, draft)
    if draft.shown != draft.version:  # nothing has been appended yet
        expected_s = (await chat.shop.estimate(model, chat.person, draft.number)).usual_s
        draft = await put(chat, draft, card.accepted(draft, expected_s))
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
        format=model.sides(draft.format),
        seconds=draft.seconds,
    )
    began_ns = time.time_ns()
    try:
        receipt = await chat.shop.ledger.execute(command, key=f"order:{draft.draft}")
    except InsufficientCreditsError:
        needed, balance = draft.price * draft.number, await chat.balance()
        if (reopened := await chat.shop.drafts.reopen(draft.draft)) is not None:
            await show(chat, reopened, card.short_text(needed, balance))
        await chat.answer_tap(_("Not enough credits."))
        return
    except SalesPausedError as error:  # since we looked
        if (reopened := await chat.shop.drafts.reopen(draft.draft)) is not None:
            await show(chat, reopened, paused_text(error.why), card.tell_me(draft.draft))
        await chat.answer_tap(_("Nothing was charged."))
        return
    except KeyReusedError:  # committed meanwhile with another language or deadline: it is the same order
        logger.info("order_found", order=draft.draft, jobs=list(draft.jobs))
    else:
        record_order(command, receipt.position, tapped_ns, (began_ns, time.time_ns()))
        logger.info("order_placed", order=draft.draft, jobs=list(draft.jobs), position=receipt.position)
    await _settle(chat, draft)
    text = _("✅ Accepted: {videos}, {price} charged.")
    price = credits_text(draft.price * draft.number)
    await chat.answer_tap(text.format(videos=videos_text(draft.number), price=price))


async def _settle(chat: Conversation, draft: Draft) -> None:
    if not draft.ordered:
        await chat.shop.drafts.mark_ordered(draft.draft)


async def _is_in_ledger(shop: BotContext, draft: Draft) -> bool:
    """Whether the ledger has the order; the draft's own mark may lag behind it."""
    return bool(draft.jobs and (await shop.ledger.read.job(draft.jobs[0])).account)


async def too_late_s(chat: Conversation, model: Model, jobs: int) -> float:
    """Seconds by which an order made now would miss its deadline; 0 when in time."""
    late_s = (await chat.shop.estimate(model, chat.person, jobs)).too_late_s(chat.shop.deadline_s(model))
    if late_s:
        logger.warning("order_discouraged", model=model.slug, jobs=jobs, late_s=round(late_s))
    return late_s


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
