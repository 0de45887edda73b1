"""Screens of making an order, one per step, localized."""

import math

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.i18n import gettext as _

from services.accounts.personal_data import Brief, Draft
from services.adapters.telegram.callback_data import (
    Again,
    Cancel,
    ChangeDraft,
    ChooseCount,
    ChooseStyle,
    Describe,
    Drop,
    MenuAction,
    Order,
    OtherStyle,
    SkipWishes,
)
from services.bot.inputs import TEXT_CHARS_MAX, quote
from services.bot.order_form import COUNTS, OrderForm
from services.bot.screens.labels import credits_text, style_line, style_mark, style_name, videos_text
from services.bot.screens.menu import (
    Screen,
    button,
    cabinet_button,
    create_button,
    home_button,
    keyboard,
    menu_button,
    topup_button,
)
from services.generation.catalogue import Model
from services.generation.prompts.styles import load_styles, style_of

_QUOTED_CHARS = 300


def photo(flow: OrderForm) -> Screen:
    text = _(
        "📷 <b>Send a photo of the product.</b>\n"
        "Best of all: the whole product in good light, without people and without text over it. "
        "As a photo or as a file (JPEG, PNG, WebP), up to 20 MB."
    )
    return Screen(text, keyboard([_drop_button(flow)]))


def photo_gone() -> Screen:
    text = _("📷 The photo of this order is no longer kept. Please start anew with a photo.")
    return Screen(text, keyboard([create_button()]))


def product(flow: OrderForm) -> Screen:
    text = _(
        "✍️ <b>Now describe the product.</b>\n"
        "What it is, whom it is for and what is special about it. A few sentences, up to {chars} characters."
    ).format(chars=TEXT_CHARS_MAX)
    return Screen(text, keyboard([_drop_button(flow)]))


def style(flow: OrderForm) -> Screen:
    lines = (style_line(name) for name in load_styles())
    text = "\n".join([_("🎨 <b>Choose a style.</b>"), *lines])
    rows = [
        [button(f"{style_mark(name)} {style_name(name)}", ChooseStyle(style=name, flow=flow.id).pack())]
        for name in load_styles()
    ]
    return Screen(text, keyboard(*rows, [_drop_button(flow)]))


def wishes(flow: OrderForm) -> Screen:
    if style_of(flow.style).own_prompt:
        text = _(
            "✏️ <b>Write your prompt.</b>\n"
            "Describe what happens in the video: place, action, camera, mood. "
            "No text on the screen: video models cannot spell. Up to {chars} characters."
        ).format(chars=TEXT_CHARS_MAX)
        return Screen(text, keyboard([_drop_button(flow)]))
    text = _(
        "💡 <b>Any wishes?</b>\n"
        "The place, the mood, what must be seen. Write them, or skip this step. Up to {chars} characters."
    ).format(chars=TEXT_CHARS_MAX)
    return Screen(
        text, keyboard([button(_("⏭ Skip"), SkipWishes(flow=flow.id).pack())], [_drop_button(flow)])
    )


def count(flow: OrderForm, model: Model, balance: int, problem: str = "", *, short: bool = False) -> Screen:
    """How many; `problem`: why the chosen number cannot be ordered now; `short`: of credits."""
    parts = [
        _(
            "🔢 <b>How many videos shall I make?</b>\nEach one comes out different. One video costs {price}."
        ).format(price=credits_text(model.price_credits)),
        _("🎨 Style: {style}").format(style=style_name(flow.style)),
        _("💳 Balance: {balance}").format(balance=credits_text(balance)),
    ]
    if problem:
        parts.append("\n" + problem)
    numbers = [
        button(videos_text(number), ChooseCount(count=number, flow=flow.id).pack()) for number in COUNTS
    ]
    rows = [numbers, [button(_("🎨 Another style"), OtherStyle(flow=flow.id).pack())]]
    if problem:
        rows.append([topup_button(flow.draft) if short else cabinet_button()])
    return Screen("\n".join(parts), keyboard(*rows, [_drop_button(flow)]))


def new_words(flow: OrderForm) -> Screen:
    """A text where a style is waited for: is it a better description, or a word about the styles?"""
    text = _("✍️ Shall this be the new description? If not, just choose a style above.")
    return Screen(text, keyboard([button(_("✅ Yes, take it"), Describe(flow=flow.id).pack())]))


def in_the_making(flow: OrderForm) -> Screen:
    text = _("✋ You are making an order already. Go on with it, or cancel it to begin another one.")
    rows = [[menu_button(_("↩️ Go on with my order"), MenuAction.RESUME)], [_drop_button(flow)]]
    return Screen(text, keyboard(*rows))


def short_text(needed: int) -> str:
    return _(
        "❗️ <b>Not enough credits:</b> {needed} needed. Choose fewer, or top up: your order stays."
    ).format(needed=credits_text(needed))


def confirm(draft: Draft, brief: Brief, balance: int, *, photo_quoted: bool) -> Screen:
    """The order before it is charged; sent as a reply to the photo if there is one."""
    number = len(draft.jobs)
    parts = [
        _("🧾 <b>Check your order</b>"),
        _("📷 Photo: the one above") if photo_quoted else _("📷 Photo: the same as before"),
        _("📦 Product: {text}").format(text=quote(brief.product, _QUOTED_CHARS)),
        _("🎨 Style: {style}").format(style=style_name(draft.style)),
    ]
    if style_of(draft.style).own_prompt:
        parts.append(_("✏️ Prompt: {text}").format(text=quote(brief.wishes, _QUOTED_CHARS)))
    elif brief.wishes:
        parts.append(_("💡 Wishes: {text}").format(text=quote(brief.wishes, _QUOTED_CHARS)))
    parts += [
        _("🎬 Videos: {number}").format(number=number),
        "",
        _("💰 Price: <b>{price}</b>").format(price=credits_text(draft.price * number)),
        _("💳 Balance: {balance}").format(balance=credits_text(balance)),
    ]
    return Screen("\n".join(parts), confirm_buttons(draft))


def confirm_buttons(draft: Draft) -> InlineKeyboardMarkup:
    order = _("✅ Create for {price}").format(price=credits_text(draft.price * len(draft.jobs)))
    return keyboard(
        [button(order, Order(draft=draft.draft).pack())],
        [
            button(_("✏️ Change"), ChangeDraft(draft=draft.draft).pack()),
            button(_("✖️ Cancel"), Cancel(draft=draft.draft).pack()),
        ],
    )


def short_of_credits(draft: Draft, balance: int) -> Screen:
    """The order cannot be paid now; it can still be confirmed later."""
    needed = draft.price * len(draft.jobs)
    text = _(
        "💳 <b>Not enough credits</b>\n"
        "This order of {videos} costs {needed}, your balance is {balance}. Nothing was charged. "
        "Top up and come back: your order stays as it is."
    ).format(videos=videos_text(len(draft.jobs)), needed=credits_text(needed), balance=credits_text(balance))
    markup = confirm_buttons(draft)
    markup.inline_keyboard.insert(0, [topup_button(draft.draft)])
    return Screen(text, markup)


def queued(draft: Draft, expected_s: float) -> Screen:
    """Queued order, shown until the notifier has something newer."""
    text = _(
        "⏳ <b>Your order is in the queue</b>\n"
        "{videos}, style: {style}. I will update this message as the work goes on. "
        "A video usually takes about {minutes} min."
    ).format(
        videos=videos_text(len(draft.jobs)),
        style=style_name(draft.style),
        minutes=max(1, round(expected_s / 60)),
    )
    return Screen(text)


def cancelled() -> Screen:
    text = _("✖️ The order is cancelled. Nothing was charged.")
    return Screen(text, keyboard([menu_button(_("🎬 Create a video"), MenuAction.CREATE)], [home_button()]))


def unavailable(draft: Draft | None = None) -> Screen:
    rows = [[home_button()]]
    if draft is not None:
        rows.insert(0, [again_button(draft)])
    return Screen(unavailable_text(), keyboard(*rows))


def unavailable_text() -> str:
    return _(
        "🛠 Videos are temporarily unavailable: the video service is paused. "
        "Nothing was charged. Please try again later."
    )


def overloaded(draft: Draft, late_s: float) -> Screen:
    """The order would not be in time; it can still be confirmed later."""
    return Screen(overloaded_text(late_s), confirm_buttons(draft))


def overloaded_text(late_s: float) -> str:
    return _(
        "🚦 <b>Very many orders right now:</b> a video would not be ready in time. "
        "Nothing was charged. Try again in about {minutes} min."
    ).format(minutes=max(1, math.ceil(late_s / 60)))


def again_button(draft: Draft) -> InlineKeyboardButton:
    return button(_("🔄 Try again"), Again(draft=draft.draft).pack())


def _drop_button(flow: OrderForm) -> InlineKeyboardButton:
    return button(_("✖️ Cancel"), Drop(flow=flow.id).pack())
