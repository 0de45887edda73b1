"""The notifier's messages in HTML; of outside text there is only the seller's, escaped and cut."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import cache
from typing import Final

import msgspec
from aiogram.filters.callback_data import CallbackData
from aiogram.types import InlineKeyboardButton, InlineKeyboardMarkup
from babel.dates import format_date

from ledger.accounts.lots import Lots
from services.adapters.telegram.callback_data import (
    Again,
    AgainView,
    BackToOrder,
    Menu,
    MenuAction,
    Order,
    Rate,
    Reminders,
    Repair,
    TellMe,
)  # fmt: skip
from services.adapters.telegram.order_labels import (
    SHARED,
    STATES,
    LineState,
    balance_text,
    create_text,
    credits_text,
    made_lines,
    order_title,
    state_name,
    videos_text,
    what_lines,
)  # fmt: skip
from services.generation.error_classes import POLICIES, policy_for
from services.notifier.deliveries import Delivery, Waiting
from services.notifier.expected_messages import ENDED
from services.notifier.progress_bar import Progress, bar, progress
from services.platform.catalogues import MOSCOW, N_, locale_for
from services.platform.file_links import VALID_S, FileLinks
from services.platform.i18n import Catalogues

DAYS_AHEAD: Final = 7
"""Credits that end by then are named together."""
LINES_MAX: Final = 10
"""Orders of more jobs are shown as counts."""
AHEAD_MAX: Final = 100
QUEUE_LOOK_S: Final = 15.0
"""So often a card whose video waits is looked at, and edited if its place is another."""
_SOON_S: Final = 30
_MINUTES_S: Final = 90


class What(msgspec.Struct, frozen=True):
    """What was ordered, in the language `locale`; empty: not known any more."""

    order_id: str
    locale: str
    product: str = ""
    style: str = ""
    format: str = ""
    seconds: int = 0


class StatusLine(msgspec.Struct, frozen=True):
    """One job of an order, of the query `status_lines`. `lost`: its video was made and could not be sent."""

    job: str
    number: int
    state: LineState
    lost: bool = False
    blob: str = ""
    owed_at_s: float = 0
    ahead: int = 0
    elapsed_s: float = 0
    usual_s: float = 0
    floor_percent: int = 0
    stars: int = 0

    @property
    def progress(self) -> Progress | None:
        """Of a video that is being rendered; None as long as nobody knows how long that takes."""
        if self.state != "rendering" or not self.usual_s:
            return None
        return progress(self.elapsed_s, self.usual_s, self.floor_percent)

    @property
    def next_s(self) -> float:
        """In so many seconds time alone may have changed it; infinite: never."""
        if self.state in ("queued", "waiting"):
            return QUEUE_LOOK_S
        known = self.progress
        return math.inf if known is None or known.next_s is None else known.next_s


class Shown(msgspec.Struct, frozen=True):
    """`next_s`: seconds until time alone changes it; None: it does not."""

    text: str
    buttons: InlineKeyboardMarkup | None = None
    next_s: float | None = None


_LIKED, _DISLIKED = "👍", "👎"
_STARS_GOOD, _STARS_BAD = 5, 1
_THUMBS_IN_ROW: Final = 4
_AGAIN: Final[dict[AgainView, str]] = {
    "": N_("🔄 Again with this product"),
    "styles": N_("🎨 Other style"),
    "formats": N_("📐 Other format"),
}


def button_to(text: str, data: CallbackData) -> InlineKeyboardButton:
    return InlineKeyboardButton(text=text, callback_data=data.pack())


def _thumbs(line: StatusLine, of_jobs: int) -> list[InlineKeyboardButton]:
    which = f" №{line.number}" if of_jobs > 1 else ""
    return [
        button_to(mark + which, Rate(job=line.job, stars=stars))
        for mark, stars in ((_LIKED, _STARS_GOOD), (_DISLIKED, _STARS_BAD))
    ]


@cache
def notifier_texts() -> Catalogues:
    return Catalogues("services.notifier", "notifier", *SHARED)


class Speech:
    """What messages have in common."""

    def __init__(self, texts: Catalogues) -> None:
        self._texts = texts

    def _say(self, msgid: str, locale: str) -> str:
        return self._texts.gettext(msgid, locale=locale)

    def _credits(self, count: int, locale: str) -> str:
        with self._texts.speaking(locale):
            return credits_text(count)

    def _balance(self, balance: int | None, locale: str) -> list[str]:
        with self._texts.speaking(locale):
            return [] if balance is None else [balance_text(balance)]

    def _create(self, order: Waiting, balance: int | None, locale: str) -> list[InlineKeyboardButton]:
        """The create button, if the balance is enough for the order; else none."""
        if not order.waiting or balance is None or not 0 < order.waiting_price <= balance:
            return []
        with self._texts.speaking(locale):
            text = create_text(order.waiting_price)
        return [button_to(text, Order(draft=order.waiting, version=order.waiting_version))]


class Messages(Speech):
    def __init__(self, texts: Catalogues, links: FileLinks, contact: str) -> None:
        super().__init__(texts)
        self._links = links
        self._contact = contact

    def video(self, delivery: Delivery, balance: int | None) -> str:
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
        with self._texts.speaking(locale):
            parts += what_lines(delivery.product, delivery.style)
            parts += made_lines(delivery.format, delivery.seconds)
            parts += ["💳 " + balance_text(balance)] if balance is not None else []
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
        advice = self._say(policy.advice, locale)
        if policy.passes and delivery.rest_s is not None:
            advice = self._say("Try again in about {minutes} min: the same photo and text will do.", locale)
            advice = advice.format(minutes=max(1, math.ceil(delivery.rest_s / 60)))
        parts += [advice, ""]
        back = self._texts.gettext(
            "Your credit is back.", "{count} credits are back.", delivery.refunded, locale=locale
        ).format(count=delivery.refunded)
        if not delivery.refunded:
            back = self._say("It was free for you.", locale)
        return "\n".join([*parts, " ".join(["💳 " + back, *self._balance(balance, locale)])])

    def bonus(self, delivery: Delivery, balance: int | None) -> str:
        locale = locale_for(delivery.locale)
        why = self._say("You came by a friend's invitation.", locale)
        if delivery.kind == "grant":
            why = self._say("They come from support.", locale)
        elif delivery.kind == "referral":
            why = self._say("Your friend has begun: thank you for the invitation.", locale)
        count = self._texts.gettext(
            "{count} bonus credit", "{count} bonus credits", delivery.refunded, locale=locale
        ).format(count=delivery.refunded)
        return "\n".join([f"🎁 <b>{count}</b>", why, *self._balance(balance, locale)])

    def reminder(self, delivery: Delivery, ends: Mapping[date, int]) -> str:
        locale = locale_for(delivery.locale)
        if delivery.kind == "left":
            return "🧾 " + self._say("Your order waits here as you left it. One tap, and we go on.", locale)
        if delivery.kind == "works":
            return "✅ " + self._say("Videos can be made again. You asked me to tell you.", locale)
        parts = ["⏳ <b>" + self._say("Some of your credits end soon", locale) + "</b>"]
        with self._texts.speaking(locale):
            for day, credits in ends.items():
                parts.append(f"• {credits_text(credits)}: {format_date(day, 'd MMMM', locale=locale)}")
        return "\n".join([*parts, self._say("A photo of a product is enough to use them.", locale)])

    @property
    def has_links(self) -> bool:
        """Whether people can open our links; else they are told whom to write to."""
        return self._links.reachable

    def buttons(self, delivery: Delivery, balance: int | None = None) -> InlineKeyboardMarkup | None:
        """Buttons that lead on: to the same order, to what repairs it, or to the one that waits. A video has
        none: its order's card has them."""
        if delivery.has_file and delivery.card:
            return None
        order, locale = delivery.order_id, locale_for(delivery.locale)

        def button(mark: str, text: str, data: CallbackData) -> InlineKeyboardButton:
            return button_to(f"{mark} {self._say(text, locale)}", data)

        rows: list[list[InlineKeyboardButton]] = []
        if delivery.is_reminder and delivery.waiting:
            rows = [[button("↩️", N_("Back to my order"), BackToOrder(draft=delivery.waiting))]]
        elif delivery.is_reminder and not delivery.repeatable:
            rows = [[button("🎬", N_("Create a video"), Menu(action=MenuAction.CREATE))]]
        elif delivery.repeatable and delivery.kind not in ("failure", "works"):
            rows = [[self._again(order, "", locale)]]
        elif delivery.repeatable:
            policy = POLICIES["unclassified"] if delivery.is_reminder else policy_for(delivery.error_class)
            names = {"photo": ("📷", N_("Change the photo")), "product": ("✍️", N_("Change the text"))}
            rows = [[button(*names[part], Repair(draft=order, part=part)) for part in policy.repairs]]
            if not policy.repairs:
                rows = [[button("🔄", N_("Try again"), Repair(draft=order, part=""))]]
            if policy.passes:
                rows.append([button("🔔", N_("Tell me when it works"), TellMe(draft=order))])
        was_short = balance is not None and balance - delivery.refunded < delivery.waiting_price
        if delivery.kind != "failure" or was_short:  # else it is no news that the other order can be made
            rows[:0] = filter(None, [self._create(delivery, balance, locale)])
        if delivery.kind in ("ending", "left"):
            rows.append([button("🔕", N_("Do not remind me"), Reminders(on=False))])
        else:
            rows.append([button("☰", N_("Menu"), Menu(action=MenuAction.HOME))])
        return InlineKeyboardMarkup(inline_keyboard=rows)

    def _over(self, order_id: str, lines: Sequence[StatusLine], locale: str) -> InlineKeyboardMarkup:
        """What can be done with an order that is over; a video can be rated unless they are only counted."""
        unrated = [line for line in lines if line.state in ("done", "gifted") and not line.stars]
        thumbs = [thumb for line in unrated for thumb in _thumbs(line, len(lines)) if len(lines) <= LINES_MAX]
        rows = [thumbs[at : at + _THUMBS_IN_ROW] for at in range(0, len(thumbs), _THUMBS_IN_ROW)]
        other = [self._again(order_id, view, locale) for view in ("styles", "formats")]
        menu = button_to("☰ " + self._say("Menu", locale), Menu(action=MenuAction.HOME))
        rows += [[self._again(order_id, "", locale)], other, [menu]]
        return InlineKeyboardMarkup(inline_keyboard=rows)

    def _again(self, order_id: str, view: AgainView, locale: str) -> InlineKeyboardButton:
        return button_to(self._say(_AGAIN[view], locale), Again(draft=order_id, view=view))

    def status(self, what: What, lines: Sequence[StatusLine], language: str | None) -> Shown:
        """An order's card, from its commit on."""
        locale = locale_for(language or what.locale)
        over = all(line.state in ENDED for line in lines)
        with self._texts.speaking(locale):
            parts = [order_title(over=over), *what_lines(what.product, what.style)]
            parts += made_lines(what.format, what.seconds, len(lines))
            parts += [""] if over else [self._say("📨 I send it here as soon as it is ready.", locale), ""]
            if len(lines) > LINES_MAX:
                counts = Counter(line.state for line in lines)
                parts += [f"{state_name(s)}: {videos_text(counts[s])}" for s in STATES if counts[s]]
            else:
                parts += [self._line(line, len(lines), locale) for line in lines]
        parts += self._lost([line for line in lines if line.lost and line.blob][:LINES_MAX], locale)
        next_s = min(line.next_s for line in lines) if len(lines) <= LINES_MAX else math.inf
        buttons = self._over(what.order_id, lines, locale) if over else None
        return Shown("\n".join(parts), buttons, None if next_s == math.inf else next_s)

    def _line(self, line: StatusLine, of_jobs: int, locale: str) -> str:
        text = (f"{line.number}. " if of_jobs > 1 else "") + state_name(line.state)
        if line.stars:
            return f"{text} {_LIKED if line.stars > _STARS_BAD else _DISLIKED}"
        if line.state in ("queued", "waiting"):
            return f"{text}, {self._place(line.ahead, locale)}"
        if (known := line.progress) is None:
            return text
        return f"{text}\n{bar(known.percent)} {known.percent} %, {self._left(known.left_s, locale)}"

    def _place(self, ahead: int, locale: str) -> str:
        if not ahead:
            return self._say("next in line", locale)
        text = self._say("about {videos} before it", locale)
        if ahead > AHEAD_MAX:
            text = self._say("more than {videos} before it", locale)
        return text.format(videos=videos_text(min(ahead, AHEAD_MAX)))

    def _left(self, left_s: float | None, locale: str) -> str:
        match left_s:
            case None:
                return self._say("longer than usual", locale)
            case 0:
                return self._say("almost there", locale)
            case _ if left_s < _SOON_S:
                return self._say("a few seconds left", locale)
            case _ if left_s < _MINUTES_S:
                return self._say("about a minute left", locale)
        return self._say("about {minutes} min left", locale).format(minutes=round(left_s / 60))

    def _lost(self, lost: Sequence[StatusLine], locale: str) -> list[str]:
        if not lost:
            return []
        if not self._links.reachable:
            return ["", self._on_request(", ".join(line.blob for line in lost), locale)]
        text = self._say("A video may not have reached you. It is kept here for 7 days:", locale)
        return ["", text, *(self._link(f"№{line.number}", line.blob, line.owed_at_s) for line in lost)]

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


def ends_soon(lots: Lots, now_s: float) -> dict[date, int]:
    """Credits that end within a week, by the day in Moscow."""
    now, found = datetime.fromtimestamp(now_s, MOSCOW), Counter[date]()
    for lot in lots:
        if lot.expires_at_us is not None:
            ends = datetime.fromtimestamp(lot.expires_at_us / 1e6, MOSCOW)
            if ends > now and (ends.date() - now.date()).days <= DAYS_AHEAD:
                found[ends.date()] += lot.amount
    return dict(sorted(found.items()))
