"""Callback data of the chat's buttons, shared by bot and notifier.

A button stays in a chat for years and any client can send any data: handlers check whose the draft is and
whether its step is still on. An order's steps carry its `flow`, so that buttons of an earlier one change
nothing. Telegram takes 1 to 64 bytes.
"""

from enum import StrEnum

from aiogram import F
from aiogram.filters.callback_data import CallbackData, CallbackQueryFilter


class MenuAction(StrEnum):
    HOME = "home"
    CREATE = "create"
    CABINET = "cabinet"
    TOPUP = "topup"
    SUPPORT = "support"
    LANGUAGE = "language"
    RESUME = "resume"
    """Back to the step of the order being made."""


class Menu(CallbackData, prefix="menu"):
    """To a menu screen; sent as a new message, never over the button's own."""

    action: MenuAction

    @classmethod
    def filter_action(cls, action: MenuAction) -> CallbackQueryFilter:
        return cls.filter(F.action == action)


class OfDraft(CallbackData, prefix="draft"):
    """About a draft; an order's id is its draft's."""

    draft: str


class OfFlow(CallbackData, prefix="flow"):
    flow: str = ""


class Again(OfDraft, prefix="again"):
    """Another order with the photo and words of `draft`."""


class AcceptTerms(CallbackData, prefix="terms"):
    version: str


class ChooseLanguage(CallbackData, prefix="lang"):
    locale: str


class ChooseStyle(CallbackData, prefix="style"):
    style: str
    flow: str = ""


class SkipWishes(OfFlow, prefix="nowish"):
    """No wishes."""


class ChooseCount(CallbackData, prefix="count"):
    count: int
    flow: str = ""


class OtherStyle(OfFlow, prefix="restyle"):
    """From the number of videos back to the style."""


class Describe(OfFlow, prefix="words"):
    """Use the text answered with this button as the description."""


class Drop(OfFlow, prefix="drop"):
    """Drop the order being made."""


class Order(OfDraft, prefix="order"):
    """Place the draft's order; the draft's id is the idempotency key."""


class ChangeDraft(OfDraft, prefix="change"):
    """From the confirm screen back to the number of videos."""


class Mend(OfDraft, prefix="mend"):
    """Change only what is not allowed in the draft."""


class TopUp(OfDraft, prefix="topup"):
    """To the packages, from the order `draft`."""


class Buy(CallbackData, prefix="buy"):
    """Buy a package. `draft` is the order to come back to; empty: none."""

    package: str
    draft: str


class PayBy(CallbackData, prefix="payby"):
    provider: str
    package: str
    draft: str


class Packages(CallbackData, prefix="packs"):
    """Back to the packages, from ways to pay or the receipt's address."""

    draft: str
    payment: str = ""


class CheckPayment(CallbackData, prefix="paid"):
    """Check the payment now ("I have paid")."""

    payment: str


class BackToOrder(OfDraft, prefix="backto"):
    """From buying back to the order that was being made."""


class AdminDo(CallbackData, prefix="admdo"):
    """Carry out the admin command above, if it still matches `digest`."""

    digest: str


class AdminDrop(CallbackData, prefix="admno"):
    """Leave the admin command undone."""


class Cancel(OfDraft, prefix="cancel"):
    """Drop the draft; no effect once it is ordered."""
