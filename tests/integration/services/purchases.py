"""Credits that an account has bought, with the payment that belongs to them."""

from events.payment import PaymentOrdered
from ledger.log.ledger import Ledger
from ledger.payments.commands import SettlePayment, key_of


async def buy(ledger: Ledger, account: str, credits: int) -> None:
    """Once per account and number of credits; the order is restored, so no terms need to be accepted."""
    payment, price = f"{account}-{credits}", 100 * credits
    ordered = PaymentOrdered(
        account, "yookassa", "package", credits, price, "RUB", "1", False, None, "videos", "ru"
    )  # fmt: skip
    command = SettlePayment(payment, account, "yookassa", payment, price, "RUB", "1", False, ordered)
    await ledger.execute(command, key=key_of(command))
