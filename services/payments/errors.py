"""Errors of the payment desk; those of the ledger and of the provider come through it as they are.

PaymentError
├── NotForSaleError          no such package, or not in this way
├── ContactNeededError    the shop sends receipts: say where to
├── PaymentPendingError       the provider has not said yes or no: ask again in a moment
├── PaymentNotCreatedError          the provider refused, or the payment was given up: order again
└── NothingToRefundError  no money came, or none is left of it, or less than asked for
"""

from events.errors import NeurocardsError


class PaymentError(NeurocardsError):
    """Base of the desk's errors."""


class NotForSaleError(PaymentError):
    """There is no such package for this provider."""


class ContactNeededError(PaymentError):
    """An e-mail or a phone number for the receipt is missing or is none."""


class PaymentPendingError(PaymentError):
    """It is not known whether the provider has made it. The same call again goes on; so does maintenance."""


class PaymentNotCreatedError(PaymentError):
    """There will be no link for this payment."""


class NothingToRefundError(PaymentError):
    """The payment has no such money to send back."""
