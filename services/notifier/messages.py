"""The notifier's messages in HTML: no outside text, so nothing is escaped."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.i18n import I18n

from services.adapters.telegram.callback_data import Again, Menu, MenuAction
from services.generation.error_classes import policy_for
from services.notifier.expected_messages import ENDED, Kind, LineState
from services.platform.file_links import VALID_S, FileLinks
from services.platform.i18n import N_, locale_for

LINES_MAX: Final = 10
"""Orders of more jobs are shown as counts."""


class Delivery(msgspec.Struct, frozen=True):
    """A taken row of `deliveries`. `chat_id` is None when the account was erased."""

    job: str
    kind: Kind
    position: int
    account: str
    order_id: str
    number: int
    of_jobs: int
    locale: str
    refunded: int
    error_class: str
    blob: str
    size_bytes: int
    as_link: bool
    claims: int
    attempts: int
    unknown_sends: int
    chat_id: int | None
    repeatable: bool
    back_to: str
    owed_at_s: float
    age_s: float

    @property
    def is_payment(self) -> bool:
        """Whether it tells of money; `job` is the payment then."""
        return self.kind in ("paid", "paid_again")

    @property
    def has_file(self) -> bool:
        return self.kind in ("video", "gift")


class StatusLine(msgspec.Struct, frozen=True):
    """One job of an order. `lost`: its video was made, but handing it over failed."""

    number: int
    state: LineState
    lost: bool = False
    blob: str = ""
    owed_at_s: float = 0


class Shown(msgspec.Struct, frozen=True):
    text: str
    buttons: InlineKeyboardMarkup | None = None


_STATES: Final[dict[LineState, tuple[str, str]]] = {
    "queued": ("⏳", N_("in the queue")),
    "writing": ("✍️", N_("writing the script")),
    "rendering": ("🎬", N_("rendering the video")),
    "retrying": ("🔁", N_("the service stumbled, trying again")),
    "done": ("✅", N_("done")),
    "failed": ("❌", N_("did not work out, the credits are back")),
    "gifted": ("🎁", N_("came late, a gift")),
}


class Messages:
    def __init__(self, texts: I18n, links: FileLinks, contact: str) -> None:
        self._texts = texts
        self._links = links
        self._contact = contact

    def video(self, delivery: Delivery) -> str:
        """A video's caption, or the text of a message linking to it."""
        locale = locale_for(delivery.locale)
        if delivery.kind == "gift":
            parts = [
                "🎁 " + self._say("This video came after its time was up.", locale),
                self._say("The credits are back with you already, so it is a gift.", locale),
            ]
        else:
            parts = ["🎬 " + self._say("Your video is ready!", locale)]
        parts += self._which(delivery, locale)
        if delivery.as_link and not self._links.reachable:
            parts.append(self._say("Telegram does not take a file like this one.", locale))
            parts.append(self._on_request(delivery.blob, locale))
        elif delivery.as_link:
            parts.append(self._say("Telegram does not take a file like this one, so here is a link:", locale))
            link = self._link(self._say("Watch or download", locale), delivery.blob, delivery.owed_at_s)
            validity = self._say("valid for 7 days", locale)
            parts.append(f"{link} ({validity})")
        return "\n".join(parts)

    def failure(self, delivery: Delivery, balance: int | None) -> str:
        locale = locale_for(delivery.locale)
        policy = policy_for(delivery.error_class)
        title = "😔 <b>" + self._say("The video did not work out.", locale) + "</b>"
        parts = [title, *self._which(delivery, locale), "", self._say(policy.happened, locale)]
        parts += [self._say(policy.advice, locale), ""]
        back = self._texts.gettext(
            "Your credit is back.", "Your credits are back: {count}.", delivery.refunded, locale=locale
        ).format(count=delivery.refunded)
        if not delivery.refunded:
            back = self._say("It was free for you.", locale)
        if balance is not None:
            back += " " + self._say("Your balance: {balance}.", locale).format(balance=balance)
        return "\n".join([*parts, "💳 " + back])

    def bonus(self, delivery: Delivery, balance: int | None) -> str:
        locale = locale_for(delivery.locale)
        why = self._say("You came by a friend's invitation.", locale)
        if delivery.kind == "referral":
            why = self._say("Your friend has begun: thank you for the invitation.", locale)
        count = self._texts.gettext(
            "{count} bonus credit", "{count} bonus credits", delivery.refunded, locale=locale
        ).format(count=delivery.refunded)
        parts = [f"🎁 <b>{count}</b>", why]
        if balance is not None:
            parts.append(self._say("Your balance: {balance}.", locale).format(balance=balance))
        return "\n".join(parts)

    @property
    def has_links(self) -> bool:
        """Whether people can open our links; else they are told whom to write to."""
        return self._links.reachable

    def buttons(self, delivery: Delivery) -> InlineKeyboardMarkup:
        locale = locale_for(delivery.locale)
        menu = InlineKeyboardButton(
            text="☰ " + self._say("Menu", locale), callback_data=Menu(action=MenuAction.HOME).pack()
        )
        if not delivery.repeatable:
            return InlineKeyboardMarkup(inline_keyboard=[[menu]])
        again = InlineKeyboardButton(
            text="🔄 " + self._say("Again with this product", locale),
            callback_data=Again(draft=delivery.order_id).pack(),
        )
        return InlineKeyboardMarkup(inline_keyboard=[[again], [menu]])

    def status(self, lines: Sequence[StatusLine], language: str) -> str:
        locale = locale_for(language)
        over = all(line.state in ENDED for line in lines)
        title = self._say("Your order is finished", locale) if over else self._say("Your order", locale)
        parts = [f"<b>{title}</b>", ""]
        if len(lines) > LINES_MAX:
            counts = Counter(line.state for line in lines)
            parts += [f"{self._state(s, locale)}: {counts[s]}" for s in _STATES if counts[s]]
        else:
            parts += [self._line(line, len(lines), locale) for line in lines]
        lost = [line for line in lines if line.lost and line.blob][:LINES_MAX]
        if lost and not self._links.reachable:
            parts += ["", self._on_request(", ".join(line.blob for line in lost), locale)]
        elif lost:
            parts += ["", self._say("A video may not have reached you. It is kept here for 7 days:", locale)]
            parts += [self._link(f"№{line.number}", line.blob, line.owed_at_s) for line in lost]
        return "\n".join(parts)

    def _line(self, line: StatusLine, of_jobs: int, locale: str) -> str:
        number = f"{line.number}. " if of_jobs > 1 else ""
        return number + self._state(line.state, locale)

    def _state(self, state: LineState, locale: str) -> str:
        mark, name = _STATES[state]
        return f"{mark} {self._say(name, locale)}"

    def _which(self, delivery: Delivery, locale: str) -> list[str]:
        if delivery.of_jobs == 1:
            return []
        text = self._say("Video {number} of {of}", locale)
        return [text.format(number=delivery.number, of=delivery.of_jobs)]

    def _on_request(self, blobs: str, locale: str) -> str:
        text = self._say("The file is kept. To get it, write to {contact}: <code>{name}</code>", locale)
        return text.format(contact=self._contact, name=blobs)

    def _link(self, text: str, blob: str, owed_at_s: float) -> str:
        return f'<a href="{self._links.url(blob, int(owed_at_s) + VALID_S)}">{text}</a>'

    def _say(self, msgid: str, locale: str) -> str:
        return self._texts.gettext(msgid, locale=locale)
