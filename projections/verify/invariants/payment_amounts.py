"""What the rules of payments read, and what they keep of each payment."""

import msgspec

from events.account import Paid, Part


class Ordered(msgspec.Struct, gc=False):
    """Of PaymentOrdered."""

    account: str
    provider: str
    credits: int
    amount_minor: int
    currency: str


class Succeeded(msgspec.Struct, gc=False):
    """Of PaymentSucceeded."""

    provider: str
    provider_payment: str
    amount_minor: int
    currency: str
    credits: int
    lot: int


class Flagged(msgspec.Struct, gc=False):
    """Of PaymentFlagged."""

    provider_payment: str
    amount_minor: int


class Intended(msgspec.Struct, gc=False):
    """Of RefundIntended."""

    refund: str
    provider_payment: str
    amount_minor: int
    credits: int
    parts: tuple[Part, ...] = ()


class FailedRefund(msgspec.Struct, gc=False):
    """Of RefundFailed."""

    refund: str
    credits: int


class WentBack(msgspec.Struct, gc=False):
    """Of PaymentRefunded."""

    provider_payment: str
    provider_refund: str
    amount_minor: int
    credits: int
    refund: str = ""


class Money(msgspec.Struct, gc=False):
    """What came under one id of the provider's; of flagged money no `credits` were given, else as `lot`."""

    amount_minor: int
    credits: int = 0
    back_minor: int = 0
    taken: int = 0
    lot: int = 0

    def share(self, more_minor: int) -> int:
        """The credits of all that is going back and so much more: rounded half up, never above all."""
        if not self.credits:
            return 0
        whole, rest = divmod((self.back_minor + more_minor) * self.credits, self.amount_minor)
        return min(whole + (2 * rest >= self.amount_minor), self.credits)


class Payment(msgspec.Struct, gc=False):
    """One payment; without `ordered` when its order is missing. `refunds` are those under way."""

    ordered: Ordered | None = None
    version: int = 0
    money: dict[str, Money] = msgspec.field(default_factory=dict)
    refunds: dict[str, Intended] = msgspec.field(default_factory=dict)


class Due(msgspec.Struct, gc=False):
    """Credits that must move in this command: `amount` to an account's stream, or out of it below zero.

    `parts` are what an intended refund says that it takes, or what one that failed had taken.
    """

    position: int
    stream: str
    reference: str
    amount: int
    paid: Paid | None = None
    lot: int = 0
    parts: tuple[Part, ...] | None = None
