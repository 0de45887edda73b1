"""My videos: one on a card, with the ways to its neighbours."""

from aiogram.types import InlineKeyboardButton
from aiogram.utils.i18n import gettext as _

from services.adapters.telegram.callback_data import Again, Video
from services.adapters.telegram.order_labels import what_lines
from services.bot.order_history import Film
from services.bot.screens.labels import clock_note, moment
from services.bot.screens.menu import Screen, button, cabinet_button, create_button, home_button, keyboard


def film(shown: Film) -> Screen:
    def to(position: int | None, mark: str) -> list[InlineKeyboardButton]:
        return [] if position is None else [button(mark, Video(do="show", position=position).pack())]

    here = shown.position
    place = button(f"{shown.at}/{shown.total}", Video(do="show", position=here).pack())
    turn = [*to(shown.newer, "◀️"), place, *to(shown.older, "▶️")] if shown.total > 1 else []
    send = [button(_("📨 Send again"), Video(do="again", position=here).pack())]
    if shown.kept:
        send.append(button(_("📎 As a file"), Video(do="file", position=here).pack()))
    again = [button(_("🔄 Again with this product"), Again(draft=shown.order_id).pack())]
    rows = keyboard(turn, send, again if shown.repeatable else [], [cabinet_button(), home_button()])
    return Screen("\n".join([_("🎞 <b>My videos</b>"), caption(shown), clock_note()]), rows)


def caption(shown: Film) -> str:
    which = _("Video {number} of {of}").format(number=shown.number, of=shown.of)
    late = _("🎁 It came late, a gift.")
    parts = [*what_lines(shown.product, shown.style), *([which] if shown.of > 1 else [])]
    return "\n".join([*parts, *([late] if shown.late else []), f"🗓 {moment(shown.at_us)}"])


def none_yet() -> Screen:
    text = _("🎞 No videos yet. Send a photo of a product, and the first one is here in a few minutes.")
    return Screen(text, keyboard([create_button()], [cabinet_button(), home_button()]))


def gone() -> str:
    return _("🕸 This video is no longer kept: neither here nor by Telegram.")


def not_kept() -> str:
    return _("🕸 The file is no longer kept. “Send again” works, and Telegram can save that one.")
