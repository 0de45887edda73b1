"""The cabinet's screens: one message, edited from section to section."""

from collections.abc import Sequence
from urllib.parse import urlencode

from aiogram.types import InlineKeyboardButton
from aiogram.utils.i18n import get_i18n
from aiogram.utils.i18n import gettext as _

from events.account import CreditEvent, CreditsCharged, CreditsGranted
from events.codec import Event, decode_data
from events.job import JobFailed, JobQueued, JobSucceeded, RetryScheduled, VideoGifted
from ledger.accounts.state import AccountState
from projections.reports.explain import Chain
from services.adapters.telegram.callback_data import (
    Cabinet,
    ChooseLanguage,
    MenuAction,
    MyData,
    Reminders,
    Section,
)
from services.adapters.telegram.order_labels import credits_text, state_name, style_name, videos_text
from services.bot.inputs import quote
from services.bot.order_history import PAGE, Operation, ShownJob, ShownPayment
from services.bot.screens.labels import (
    clock_note,
    grant_name,
    moment,
    moved_text,
    movement_name,
    operation_name,
    payment_state,
    refund_reason,
)
from services.bot.screens.menu import (
    LANGUAGE_NAMES,
    Screen,
    button,
    create_button,
    data_button,
    home_button,
    keyboard,
    menu_button,
    page_row,
    topup_button,
    videos_button,
)
from services.payments.packages import money_text

_LINES_MAX = 40
"""Of one movement's story, and of credits by kind and end; Telegram's message is 4,096 characters."""


def overview(account: AccountState, jobs: Sequence[ShownJob], *, invites: bool) -> Screen:
    parts = [
        _("👤 <b>My account</b>"),
        _("💳 Balance: <b>{balance}</b>").format(balance=credits_text(account.balance)),
        *_lots(account),
    ]
    if account.debt:
        parts.append(_("The next credits settle what is owed."))
    if jobs:
        parts += ["", _("<b>In the making</b>"), *map(_job, jobs)]
    parts += ["", _("🎟 A promo code? Send /promo and the code."), clock_note()]
    section = _section_button
    rows = [
        [videos_button(), data_button()],
        [section(_("🧾 Operations"), "operations"), section(_("💳 Payments"), "payments")],
        [section(_("⚙️ Settings"), "settings")],
        [topup_button()],
        [create_button()],
        [home_button()],
    ]
    if invites:
        rows[2].insert(0, section(_("👥 Invite"), "invite"))
    return Screen("\n".join(parts), keyboard(*rows))


def _lots(account: AccountState) -> list[str]:
    held: dict[tuple[str, int | None], int] = {}
    for lot in account.lots:
        held[lot.kind, lot.expires_at_us] = held.get((lot.kind, lot.expires_at_us), 0) + lot.amount
    lines = [
        f"• {credits_text(amount)}: {grant_name(kind)}, "
        + (_("no end") if ends is None else _("until {moment}").format(moment=moment(ends)))
        for (kind, ends), amount in held.items()
    ]
    return lines if len(lines) <= _LINES_MAX else [*lines[: _LINES_MAX - 1], "…"]


def _job(job: ShownJob) -> str:
    number = "" if job.of == 1 else " " + _("{number} of {of}").format(number=job.number, of=job.of)
    return f"{state_name(job.state)} · {style_name(job.style)}{number} · {moment(job.at_us)}"


def operations(found: Sequence[Operation], page: int, total: int) -> Screen:
    """One page; each line's number leads to its story."""
    if not found:
        empty = _("Nothing yet: here is every credit that comes and goes. A photo begins the first video.")
        return Screen(empty, keyboard([create_button()], [_back()]))
    lines = [
        f"{number}. <b>{moved_text(each.amount)}</b> · {operation_name(each)} · {moment(each.at_us)}"
        for number, each in enumerate(found, page * PAGE + 1)
    ]
    numbers = [
        _section_button(str(number), "spent", each.position)
        for number, each in enumerate(found, page * PAGE + 1)
    ]
    hint = _("Tap a number to see where the credits came from and what became of them.")
    text = "\n".join([_("🧾 <b>Operations</b>"), "", *lines, "", hint, clock_note()])
    return Screen(text, keyboard(numbers, _pages("operations", page, total), [_back()]))


def spent(chain: Chain, account: str) -> Screen:
    """A movement's story: what it was paid with, each video, what came back."""
    told: dict[str, tuple[int, list[str]]] = {}
    for step in chain.steps:
        if step.data is None or step.position is None or step.account != account:
            continue
        line = _told(decode_data(step.type, step.data, step.position))
        if line:
            of = step.job or str(step.position)
            indent = "      " if of in told else ""
            told.setdefault(of, (step.at_us, []))[1].append(f"{indent}{line} · {moment(step.at_us)}")
    lines = [line for _, group in sorted(told.values(), key=lambda t: t[0]) for line in group]
    left = len(lines) - _LINES_MAX
    title = _("🧾 <b>How these credits were spent</b>")
    parts = [title, "", *lines[:_LINES_MAX]]
    if left > 0 or chain.left_out:
        parts.append(_("… and more. The whole list is in the operations."))
    back = _section_button(_("◀️ Operations"), "operations")
    return Screen("\n".join([*parts, "", clock_note()]), keyboard([back], [home_button()]))


def _told(event: Event) -> str:
    match event:
        case CreditsGranted(amount=amount, kind=kind, paid=paid):
            text = f"💳 <b>{moved_text(amount)}</b>: {grant_name(kind)}"
            money = paid and money_text(paid.amount_minor, paid.currency, get_i18n().current_locale)
            return f"{text}, {money}" if money else text
        case JobQueued(price=price, style=style, number=number, of=of):
            which = "" if of == 1 else " " + _("{number} of {of}").format(number=number, of=of)
            cost = moved_text(-price) if price else _("free")
            return f"🎬 <b>{cost}</b>: {movement_name(event)}{which}, {quote(style_name(style))}"
        case RetryScheduled():
            return _("🔁 the video service stumbled, tried again")
        case JobSucceeded():
            return _("✅ the video is ready")
        case VideoGifted():
            return _("🎁 the video came late, a gift")
        case JobFailed(failure=failure):
            return _("❌ did not work out: {why}").format(why=refund_reason(failure.error_class))
        case CreditsCharged():
            return ""  # JobQueued says it
        case _ if isinstance(event, CreditEvent):
            return f"<b>{moved_text(event.sign * event.amount)}</b>: {movement_name(event)}"
        case _:
            return ""


def payments(found: Sequence[ShownPayment], page: int, total: int) -> Screen:
    if not found:
        empty = _("No payments yet. Credits are bought by card, SBP or Telegram Stars.")
        return Screen(empty, keyboard([topup_button()], [_back()]))
    locale = get_i18n().current_locale
    lines = [
        f"• <b>{credits_text(each.credits)}</b> · {money_text(each.amount_minor, each.currency, locale)}"
        f" · {payment_state(each.state)} · {moment(each.at_us)}"
        for each in found
    ]
    question = _("A question about a payment: /paysupport")
    text = "\n".join([_("💳 <b>Payments</b>"), "", *lines, "", question, clock_note()])
    return Screen(text, keyboard(_pages("payments", page, total), [topup_button()], [_back()]))


def invite(link: str, yours: int, theirs: int, friends: tuple[int, int], *, after_purchase: bool) -> Screen:
    if after_purchase:
        text = _("After your friend's first top-up you get {yours}, they get {theirs}.")
    else:
        text = _("After your friend's first video you get {yours}, they get {theirs}.")
    begun, brought = friends
    count = _("Friends who have begun: {friends}, they brought you {credits}.")
    parts = [
        _("👥 <b>Invite a friend</b>"),
        text.format(yours=credits_text(yours), theirs=credits_text(theirs)),
        "",
        _("Your link: {link}").format(link=quote(link)),
        count.format(friends=begun, credits=credits_text(brought)) if begun else _("Nobody has come yet."),
    ]
    words = _("Promo videos for your products, from one photo")
    share = f"https://t.me/share/url?{urlencode({'url': link, 'text': words})}"
    rows = keyboard([InlineKeyboardButton(text=_("📤 Send to a friend"), url=share)], [_back()])
    return Screen("\n".join(parts), rows)


def no_invitations() -> Screen:
    return Screen(_("👥 Invitations bring no credits at the moment."), keyboard([_back()], [home_button()]))


def settings(reminders: bool, note: str = "") -> Screen:
    locale = get_i18n().current_locale
    languages = [
        button(("● " if name == locale else "") + words, ChooseLanguage(locale=name).pack())
        for name, words in LANGUAGE_NAMES.items()
    ]
    text = "\n".join(
        [
            *([note, ""] if note else []),
            _("⚙️ <b>Settings</b>"),
            _("Which language shall we speak?"),
            _("Reminders are of credits that end soon and of an order that you left unfinished."),
        ]
    )
    turned = _("🔔 Reminders are on: switch off") if reminders else _("🔕 Reminders are off: switch on")
    switch = button(turned, Reminders(on=not reminders).pack())
    return Screen(text, keyboard(languages, [switch], [_back()], [home_button()]))


def my_data(note: str = "") -> Screen:
    text = _(
        "🔒 <b>My data</b>\n"
        "Everything I keep about you, as one file: what you wrote, orders, payments, operations. "
        "Or have all of it deleted. What I keep and for how long: /privacy"
    )
    rows = keyboard(
        [button(_("📥 Get the file"), MyData(do="export").pack())],
        [button(_("🗑 Delete my data"), MyData(do="ask").pack())],
        [_back()],
    )
    return Screen(f"{note}\n\n{text}" if note else text, rows)


def erasing(balance: int, debt: int, unfinished: int) -> Screen:
    """The first question: what goes, what stays and why. `unfinished`: videos in the making."""
    parts = [
        _(
            "🗑 <b>Delete my data?</b>\n\n<b>Gone for good</b>\n"
            "• photos, videos, words and orders; addresses for receipts; your Telegram number, language "
            "and invitation link"
        )
    ]
    if balance:
        text = _("• <b>what you have: {credits}</b>. For money back write first: /paysupport")
        parts.append(text.format(credits=credits_text(balance)))
    if unfinished:
        text = _("• what is in the making ({videos}): it stops, and its credits are lost, too")
        parts.append(text.format(videos=videos_text(unfinished)))
    parts += [
        "",
        _(
            "<b>Stays</b>\n"
            "• the book of credits, so that the sums are right: under a random number that leads to nobody\n"
            "• receipts with YooKassa or Telegram: the law asks for them\n"
            "• a mark made of your number, from which nobody can read it: the welcome gift is given once\n"
            "• backups, until newer ones take their place; this chat, until you delete it in Telegram"
        ),
    ]
    if debt:
        text = _("• what is owed: {credits}, should you come back")
        parts.append(text.format(credits=credits_text(debt)))
    rows = [button(_("🗑 Go on"), MyData(do="sure").pack())], [_keep()]
    return Screen("\n".join(parts), keyboard(*rows))


def really(balance: int, at_s: int) -> Screen:
    """The second question, asked at `at_s`."""
    parts = [_("❗️ <b>Really delete everything?</b>\nThis cannot be undone.")]
    if balance:
        parts.append(_("You lose {credits}.").format(credits=credits_text(balance)))
    parts.append(_("The button works for ten minutes."))
    erase = button(_("🗑 Yes, delete everything"), MyData(do="erase", at=at_s).pack())
    return Screen("\n".join(parts), keyboard([_keep()], [erase]))


def erased() -> Screen:
    return Screen(_("✅ Everything of yours is deleted. Should you ever want to begin anew: /start"))


def _keep() -> InlineKeyboardButton:
    return button(_("◀️ No, keep it"), MyData(do="show").pack())


def _pages(section: Section, page: int, total: int) -> list[InlineKeyboardButton]:
    return page_row(page, -(-total // PAGE), lambda to: Cabinet(section=section, value=to).pack())


def _section_button(text: str, section: Section, value: int = 0) -> InlineKeyboardButton:
    return button(text, Cabinet(section=section, value=value).pack())


def _back() -> InlineKeyboardButton:
    return menu_button(_("◀️ My account"), MenuAction.CABINET)
