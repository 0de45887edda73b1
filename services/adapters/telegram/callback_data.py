"""Callback data of the chat's buttons, shared by bot and notifier.

A button stays in a chat for years and any client can send any data: handlers check whose the draft is and
whether it is still in the version that the button shows. Telegram takes 1 to 64 bytes.
"""

from enum import StrEnum
from typing import Annotated, Literal

from aiogram import F
from aiogram.filters.callback_data import CallbackData, CallbackQueryFilter
from pydantic import Field


class MenuAction(StrEnum):
    HOME = "home"
    CREATE = "create"
    CABINET = "cabinet"
    VIDEOS = "videos"
    TOPUP = "topup"
    SUPPORT = "support"
    LANGUAGE = "language"
    TERMS = "terms"
    RESUME = "resume"
    """Back to the order in the making."""


class Menu(CallbackData, prefix="menu"):
    """To a menu screen; over the button's own message only where that is the panel."""

    action: MenuAction

    @classmethod
    def filter_action(cls, action: MenuAction) -> CallbackQueryFilter:
        return cls.filter(F.action == action)


Section = Literal["operations", "spent", "payments", "invite", "settings"]


class Cabinet(CallbackData, prefix="cab"):
    """A section of the cabinet; `value` is a page, from 0, or a position in the log."""

    section: Section
    value: int = 0


class MyData(CallbackData, prefix="data"):
    """What is held of a person, as a file, or deleted.

    `at`: when the last question was asked, epoch seconds.
    """

    do: Literal["show", "export", "ask", "sure", "erase"]
    at: int = 0


class Video(CallbackData, prefix="vid"):
    """One of the person's videos: show it among the others, send it again, or send its file."""

    do: Literal["show", "again", "file"]
    position: int


Id = Annotated[str, Field(pattern="^[0-9a-z]{0,24}$")]
"""As ids are made, or empty: others fit into no key of the ledger, and no button that carries them on."""


class OfDraft(CallbackData, prefix="draft"):
    """About a draft; an order's id is its draft's."""

    draft: Id


AgainView = Literal["", "styles", "formats"]


class Again(OfDraft, prefix="again"):
    """Another order with the photo and words of `draft`; its card asks for `view` first."""

    view: AgainView = ""


class Rate(CallbackData, prefix="rate"):
    """Rate a video, once, by its job."""

    job: Id
    stars: int


class Repair(OfDraft, prefix="repair"):
    """Another order with what of `draft` failed, with another `part`; empty: with the same."""

    part: Literal["", "photo", "product"]


class TellMe(OfDraft, prefix="tell"):
    """Tell me when `draft` can be ordered; empty: anything."""


class AcceptTerms(CallbackData, prefix="terms"):
    version: str


class ChooseLanguage(CallbackData, prefix="lang"):
    locale: str


class Reminders(CallbackData, prefix="remind"):
    """Switch reminders on or off."""

    on: bool


class CardButton(CallbackData, prefix="card", sep="|"):
    """A button of the order card: what it does, with which value, to which version of the draft."""

    do: Literal["view", "look", "style", "format", "seconds", "number", "empty", "cancel", "words", "photo"]
    value: str
    draft: Id
    version: int


class Order(OfDraft, prefix="order"):
    """Place the draft's order as it was in this version; the draft's id is the idempotency key."""

    version: int


class TopUp(OfDraft, prefix="topup"):
    """To the packages, from the order `draft`."""


class Buy(CallbackData, prefix="buy"):
    """Buy a package. `draft` is the order to come back to; empty: none."""

    package: str
    draft: Id


class PayBy(CallbackData, prefix="payby"):
    provider: str
    package: str
    draft: Id


class Packages(CallbackData, prefix="packs"):
    """Back to the packages, from ways to pay or the receipt's address."""

    draft: Id
    payment: Id = ""


class CheckPayment(CallbackData, prefix="paid"):
    """Check the payment now ("I have paid")."""

    payment: Id


class BackToOrder(OfDraft, prefix="backto"):
    """From buying back to the order that was being made."""


class AdminDo(CallbackData, prefix="admdo"):
    """Carry out the admin command above, if it still matches `digest`."""

    digest: str


class AdminDrop(CallbackData, prefix="admno"):
    """Leave the admin command undone."""
