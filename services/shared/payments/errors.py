"""Errors of the payment desk; those of the ledger and of the provider come through it as they are.

PaymentError
├── NotSold          no such package, or not in this way
├── ContactNeeded    the shop sends receipts: say where to
├── NotMadeYet       the provider has not said yes or no: ask again in a moment
├── NotMade          the provider refused, or the payment was given up: order again
└── NothingToRefund  no money came, or none is left of it, or less than asked for
"""

from events.errors import NeurocardsError


class PaymentError(NeurocardsError):
    """Base of the desk's errors."""


class NotSold(PaymentError):
    """There is no such package for this provider."""


class ContactNeeded(PaymentError):
    """An e-mail or a phone number for the receipt is missing or is none."""


class NotMadeYet(PaymentError):
    """It is not known whether the provider has made it. The same call again goes on; so does the monitor."""


class NotMade(PaymentError):
    """There will be no link for this payment."""


class NothingToRefund(PaymentError):
    """The payment has no such money to send back."""
