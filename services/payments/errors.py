"""Errors of payments; the ledger's and the provider's pass through unchanged.

PaymentError
├── NotForSaleError         no such package, or not in this way
├── ContactNeededError      the shop sends receipts: say where to
├── PaymentPendingError     the provider has not said yes or no: ask again in a moment
├── PaymentNotCreatedError  the provider refused, or the payment was given up: order again
└── NothingToRefundError    no money came, or none is left of it, or less than asked for
"""

from events.errors import NeurocardsError


class PaymentError(NeurocardsError):
    """Base of payment errors."""


class NotForSaleError(PaymentError):
    """There is no such package, or not for this provider."""


class ContactNeededError(PaymentError):
    """The receipt's e-mail or phone number is missing or invalid."""


class PaymentPendingError(PaymentError):
    """Unknown whether the provider made it: retry the call; maintenance does, too."""


class PaymentNotCreatedError(PaymentError):
    """No link: the provider refused, or the payment was given up. Order again."""


class NothingToRefundError(PaymentError):
    """No money came, or less is left than asked for."""
