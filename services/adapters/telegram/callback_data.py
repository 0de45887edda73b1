"""What the chat's buttons carry. Shared, since the notifier's messages have buttons the bot answers.

A button stays in a chat for years and anyone's client can send any data: whoever handles one checks whose
the draft is and whether its step is still on. The steps of an order carry its `flow`, so that what is left of
an earlier one changes nothing in this one. Telegram takes 1 to 64 bytes.
"""

from enum import StrEnum

from aiogram import F
from aiogram.filters.callback_data import CallbackData, CallbackQueryFilter


class MenuAction(StrEnum):
    """Where a Menu button leads."""

    HOME = "home"
    CREATE = "create"
    CABINET = "cabinet"
    TOPUP = "topup"
    SUPPORT = "support"
    LANGUAGE = "language"
    RESUME = "resume"
    """Back to the step of the order being made."""


class Menu(CallbackData, prefix="menu"):
    """To a screen of the menu; sent as a new message, never over the one that has the button."""

    action: MenuAction

    @classmethod
    def filter_action(cls, action: MenuAction) -> CallbackQueryFilter:
        return cls.filter(F.action == action)


class OfDraft(CallbackData, prefix="draft"):
    """About a draft; an order's id is its draft's."""

    draft: str


class OfFlow(CallbackData, prefix="flow"):
    """A step of the order that is being made."""

    flow: str = ""


class Again(OfDraft, prefix="again"):
    """Another order with the photo and the words of `draft` (an order's id is its draft's)."""


class AcceptTerms(CallbackData, prefix="terms"):
    version: str


class ChooseLanguage(CallbackData, prefix="lang"):
    """Speak `locale` from now on."""

    locale: str


class ChooseStyle(CallbackData, prefix="style"):
    """The style of the order being made."""

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
    """Take the text that was answered with this button as the description."""


class Drop(OfFlow, prefix="drop"):
    """Drop the order being made."""


class Order(OfDraft, prefix="order"):
    """Order what the draft says; the draft's id is the idempotency key."""


class ChangeDraft(OfDraft, prefix="change"):
    """Back from the confirm screen to the number of videos, with a new draft."""


class Mend(OfDraft, prefix="mend"):
    """Change what is not allowed in the draft, and nothing else."""


class TopUp(OfDraft, prefix="topup"):
    """To the packages, from the order `draft`."""


class Buy(CallbackData, prefix="buy"):
    """Buy a package. `draft` is the order to come back to; empty: none."""

    package: str
    draft: str


class PayBy(CallbackData, prefix="payby"):
    """Buy a package and pay so."""

    provider: str
    package: str
    draft: str


class Packages(CallbackData, prefix="packs"):
    """From how to pay, or from where the receipt of `payment` goes, back to the packages."""

    draft: str
    payment: str = ""


class CheckPayment(CallbackData, prefix="paid"):
    """Look now: "I have paid"."""

    payment: str


class BackToOrder(OfDraft, prefix="backto"):
    """From buying back to the order that was being made."""


class AdminDo(CallbackData, prefix="admdo"):
    """Do what the command above asks for, if it still says what `digest` was made of."""

    digest: str


class AdminDrop(CallbackData, prefix="admno"):
    """Leave it."""


class Cancel(OfDraft, prefix="cancel"):
    """Drop the draft; nothing happens once it is ordered."""
