"""Order card: caption and buttons of the one message an order is made on."""

from collections.abc import Callable, Iterable
from typing import Final

from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.i18n import gettext as _

from services.accounts.drafts import Draft, View
from services.adapters.telegram.callback_data import CardButton, MenuAction, Order, TellMe
from services.adapters.telegram.order_labels import (
    QUOTED_CHARS,
    create_text,
    credits_text,
    format_name,
    made_lines,
    order_title,
    seconds_text,
    state_name,
    style_name,
    videos_text,
    what_lines,
)
from services.bot.inputs import TEXT_CHARS_MAX, quote
from services.bot.screens.labels import style_lines, style_mark
from services.bot.screens.menu import (
    Screen,
    button,
    create_button,
    home_button,
    keyboard,
    menu_button,
    topup_button,
)
from services.generation.catalogue import load_catalogue
from services.generation.prompts.styles import load_styles, style_of

NUMBERS: Final = (1, 2, 3, 5)
NUMBER_MAX: Final = 20
"""So many videos one order may have; an own number is typed."""


def missing(draft: Draft) -> View | None:
    """What has to be said before it can be created; None: nothing."""
    if not draft.words.product:
        return "product"
    if draft.style not in load_styles():  # none yet, or one that is not on offer any more
        return "styles"
    return "wishes" if own_prompt(draft) and not draft.words.wishes else None


def own_prompt(draft: Draft) -> bool:
    """Whether its wishes are the prompt itself."""
    return bool(draft.style) and style_of(draft.style).own_prompt


def screen(draft: Draft, balance: int, note: str = "", *ways: InlineKeyboardButton) -> Screen:
    """The card as it is asked for now. `note`: why it cannot be created; `ways` out of it."""
    lacks = missing(draft)
    view = draft.view or (lacks if lacks != "styles" else None)
    view = None if note else view  # both together may be longer than a caption
    parts = [*_order(draft, balance), *([f"\n{note}"] if note else [])]
    if view is None:
        if lacks == "styles" and not note:
            parts.append(_("👇 Now choose a style: tap the first button."))
        return Screen("\n".join(parts), _main(draft, balance, list(ways)))
    asked, buttons = _VIEWS[view](draft, balance)
    if view == "styles":
        name = browsed(draft)
        return Screen(asked, buttons, name if load_styles()[name].example else "")
    return Screen("\n".join([*parts, "", asked]), buttons)


def browsed(draft: Draft) -> str:
    """The style that is looked at: the chosen one first, else the owner's first."""
    styles = load_styles()
    return next(name for name in (draft.browsed, draft.style, *styles) if name in styles)


def _order(draft: Draft, balance: int) -> list[str]:
    parts = [_("🧾 <b>New video</b>"), *what_lines(draft.words.product, draft.style)]
    if draft.words.wishes:
        text = _("✏️ Prompt: {text}") if own_prompt(draft) else _("💡 Wishes: {text}")
        parts.append(text.format(text=quote(draft.words.wishes, QUOTED_CHARS)))
    parts += [
        made(draft),
        _("💰 Price: <b>{price}</b> · balance: {balance}").format(
            price=credits_text(draft.price * draft.number), balance=credits_text(balance)
        ),
    ]
    return parts


def made(draft: Draft) -> str:
    """Format, length and number, as they will be."""
    model = load_catalogue().model(draft.model)
    sides = draft.format if model is None else model.sides(draft.format)
    return "".join(made_lines(sides, draft.seconds, draft.number))


def _main(draft: Draft, balance: int, ways: list[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    rows = [[_view(draft, "styles", _("🎨 Choose a style"))]]
    if missing(draft) is None:
        rows = [[create(draft)]]
        rows.append([_view(draft, "styles", _("🎨 Change the style"))])
    if (lacking := draft.price * draft.number - balance) > 0:
        rows.append([topup_button(draft.draft, lacking)])
    rows += [
        *([ways] if ways else []),
        [
            _view(draft, "product", _("✍️ Description")),
            _view(draft, "wishes", _("✏️ Prompt") if own_prompt(draft) else _("💡 Wishes")),
        ],
        [
            _view(draft, "formats", f"📐 {draft.format}"),
            _view(draft, "lengths", f"⏱ {seconds_text(draft.seconds)}"),
            _view(draft, "numbers", f"🎬 × {draft.number}"),
        ],
        [tap(draft, "cancel", "", _("✖️ Cancel"))],
    ]
    return keyboard(*rows)


def _styles(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    """One style at a time, and the names of all: each is one tap away."""
    names, shown = [*load_styles()], browsed(draft)
    at = names.index(shown)
    text = _("🎨 <b>Choose a style</b> · {number} of {count}").format(number=at + 1, count=len(names))
    turn = [
        tap(draft, "look", names[at - 1], "◀️"),
        tap(draft, "style", shown, _("Choose")),
        tap(draft, "look", names[(at + 1) % len(names)], "▶️"),
    ]
    buttons = [
        tap(draft, "style", name, f"{style_mark(name)} {style_name(name)}", chosen=name == draft.style)
        for name in names
    ]
    rows = [turn, *(buttons[at : at + 2] for at in range(0, len(buttons), 2))]
    return f"{text}\n\n{style_lines(shown)}", keyboard(*rows, [_back(draft)])


def _formats(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    formats = style_of(draft.style).formats
    rows = [[tap(draft, "format", f, format_name(f), chosen=f == draft.format)] for f in formats]
    text = _("📐 <b>Which format?</b> Vertical suits product cards and stories.")
    return text, keyboard(*rows, [_back(draft)])


def _lengths(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    model = load_catalogue().model(draft.model)
    rows = []
    for seconds in style_of(draft.style).seconds:
        price = draft.number * (model.price(seconds) if model is not None else 0)
        text, chosen = _with_lack(seconds_text(seconds), price, balance), seconds == draft.seconds
        rows.append([tap(draft, "seconds", str(seconds), text, chosen=chosen)])
    return _("⏱ <b>How long?</b> The price follows the length."), keyboard(*rows, [_back(draft)])


def _numbers(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    rows = []
    for number in NUMBERS:
        text = _with_lack(videos_text(number), draft.price * number, balance)
        rows.append([tap(draft, "number", str(number), text, chosen=number == draft.number)])
    text = _("🔢 <b>How many videos?</b> Each comes out different. Tap, or write a number up to {most}.")
    return text.format(most=NUMBER_MAX), keyboard(*rows, [_back(draft)])


def _with_lack(choice: str, price: int, balance: int) -> str:
    """A choice, marked with what is missing for it."""
    if price <= balance:
        return choice
    return _("{choice} · {missing} missing").format(choice=choice, missing=credits_text(price - balance))


def _photo(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    return _("📷 <b>Now send another photo.</b> All else stays."), keyboard([_back(draft)])


def _product(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    text = _(
        "✍️ <b>Now describe the product.</b>\n"
        "What it is, whom it is for and what is special about it. A few sentences, up to {chars} characters."
    )
    if draft.words.product:
        text = _("✍️ <b>Write another description</b>, up to {chars} characters. It replaces the one above.")
    text = text.format(chars=TEXT_CHARS_MAX)
    rows = [[_back(draft)]] if draft.words.product else [[tap(draft, "cancel", "", _("✖️ Cancel"))]]
    return text, keyboard(*rows)


def _wishes(draft: Draft, balance: int) -> tuple[str, InlineKeyboardMarkup]:
    if own_prompt(draft):
        text = _(
            "✏️ <b>Write your prompt.</b>\n"
            "Describe what happens in the video: place, action, camera, mood. "
            "No text on the screen: video models cannot spell. Up to {chars} characters."
        )
        back = [_view(draft, "styles", _("🎨 Choose a style"))] if not draft.words.wishes else [_back(draft)]
        return text.format(chars=TEXT_CHARS_MAX), keyboard(back)
    text = _(
        "💡 <b>Any wishes?</b>\n"
        "The place, the mood, what must be seen. Write them in up to {chars} characters."
    )
    rows = [[tap(draft, "empty", "wishes", _("🗑 No wishes"))]] if draft.words.wishes else []
    return text.format(chars=TEXT_CHARS_MAX), keyboard(*rows, [_back(draft)])


_VIEWS: Final[dict[View, Callable[[Draft, int], tuple[str, InlineKeyboardMarkup]]]] = {
    "styles": _styles,
    "formats": _formats,
    "lengths": _lengths,
    "numbers": _numbers,
    "photo": _photo,
    "product": _product,
    "wishes": _wishes,
}


def create(draft: Draft) -> InlineKeyboardButton:
    data = Order(draft=draft.draft, version=draft.version).pack()
    return button(create_text(draft.price * draft.number), data)


def tap(draft: Draft, do: str, value: str, text: str, *, chosen: bool = False) -> InlineKeyboardButton:
    """A button for this version of the draft."""
    data = CardButton(do=do, value=value, draft=draft.draft, version=draft.version)  # type: ignore[arg-type]
    return button(f"✓ {text}" if chosen else text, data.pack())


def repairs(draft: Draft, parts: Iterable[View]) -> list[InlineKeyboardButton]:
    """Buttons to change what was found wrong."""
    names: dict[View, str] = {
        "photo": _("📷 Change the photo"),
        "product": _("✍️ Change the text"),
        "wishes": _("✏️ Change the prompt") if own_prompt(draft) else _("💡 Change the wishes"),
    }
    return [_view(draft, part, names[part]) for part in parts]


def tell_me(draft: str = "") -> InlineKeyboardButton:
    return button(_("🔔 Tell me when it works"), TellMe(draft=draft).pack())


def _view(draft: Draft, view: View, text: str) -> InlineKeyboardButton:
    return tap(draft, "view", view, text)


def _back(draft: Draft) -> InlineKeyboardButton:
    return _view(draft, "", _("◀️ Back"))


def accepted(draft: Draft, expected_s: float) -> Screen:
    """Order that is being placed, shown until the notifier has something newer."""
    text = _(
        "I will update this message as the work goes on. A video usually takes about {minutes} min."
    ).format(minutes=max(1, round(expected_s / 60)))
    head = [order_title(), *what_lines(draft.words.product, draft.style), made(draft)]
    return Screen("\n".join([*head, "", state_name("queued"), text]))


# Beside the card.


def send_photo() -> Screen:
    text = _(
        "📷 <b>Send a photo of the product.</b>\n"
        "Best of all: the whole product in good light, without people and without text over it. "
        "As a photo or as a file (JPEG, PNG, WebP), up to 20 MB; best with a few words about it."
    )
    return Screen(text)


def photo_gone() -> Screen:
    text = _("📷 The photo of this order is no longer kept. Please start anew with a photo.")
    return Screen(text, keyboard([create_button()]))


def offer_words(draft: Draft, text: str, message_id: int) -> Screen:
    """A text where a tap is waited for: taken silently, it would be charged for by mistake."""
    asked = _("✍️ Take «{text}» as the description?")
    if draft.words.product:
        asked = _("✍️ Replace the description with «{text}»?")
    other = _("✏️ As the prompt") if own_prompt(draft) else _("💡 As wishes")
    return Screen(
        asked.format(text=quote(text, QUOTED_CHARS)),
        keyboard(
            [_offer(draft, "words", "product", message_id, _("✅ Yes, take it"))],
            [_offer(draft, "words", "wishes", message_id, other)],
            [_offer(draft, "words", "no", message_id, _("✖️ No"))],
        ),
    )


def offer_photo(draft: Draft, message_id: int, *, words: bool) -> Screen:
    asked = _("📷 Shall this photo replace the one of your order?")
    if words:
        asked = _("📷 Shall this photo and its words replace those of your order?")
    return Screen(
        asked,
        keyboard(
            [_offer(draft, "photo", "yes", message_id, _("✅ Replace it"))],
            [_offer(draft, "photo", "no", message_id, _("✖️ Keep the old one"))],
        ),
    )


def _offer(draft: Draft, do: str, answer: str, message_id: int, text: str) -> InlineKeyboardButton:
    return tap(draft, do, f"{answer}{message_id}", text)


def stale_text() -> str:
    return _("Nothing changed: this belongs to an earlier step or order. Go on with yours, or see /menu.")


def in_the_making(draft: Draft) -> Screen:
    text = _("✋ You are making an order already: go on with it above, or cancel it to begin another one.")
    return Screen(text, keyboard([tap(draft, "cancel", "", _("✖️ Cancel that order"))]))


def waits() -> Screen:
    return Screen(_("⬆️ Your order waits here."))


def cancelled() -> Screen:
    text = _("✖️ The order is cancelled. Nothing was charged.")
    return Screen(text, keyboard([menu_button(_("🎬 Create a video"), MenuAction.CREATE)], [home_button()]))


def unavailable(rest_s: float | None) -> Screen:
    return Screen(unavailable_text(rest_s), keyboard([tell_me()], [home_button()]))


def unavailable_text(rest_s: float | None) -> str:
    """Nothing can be ordered; `rest_s`: for so many seconds, where that is known."""
    said = _("🛠 Videos are temporarily unavailable: the video service is paused. Nothing was charged.")
    when = _("Please try again later.")
    if rest_s is not None:
        when = _("Try again in about {minutes} min.").format(minutes=max(1, -int(-rest_s // 60)))
    return f"{said} {when}"


def overloaded_text(late_s: float) -> str:
    return _(
        "🚦 <b>Very many orders right now:</b> a video would not be ready in time. "
        "Nothing was charged. Try again in about {minutes} min."
    ).format(minutes=max(1, -int(-late_s // 60)))


def short_text(needed: int, balance: int) -> str:
    return _(
        "❗️ <b>Not enough credits:</b> {needed} needed, {missing} missing. "
        "Choose fewer, or top up: your order stays."
    ).format(needed=credits_text(needed), missing=credits_text(needed - balance))


def changed_text() -> str:
    return _("🔄 The order or its price has changed since. Nothing was charged: please look again.")
