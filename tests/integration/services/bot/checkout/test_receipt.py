"""A shop that sends receipts asks where to; and a payment that nobody paid in time says so."""

from collections.abc import Iterator

import pytest

from ledger.log.ledger import Ledger
from ledger.payments.commands import ExpirePayment, key_of
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.integration.services.bot.checkout.buyer import BUY, BY_YOOKASSA, CHECK, TOPUP, Buyer
from tests.integration.services.bot.checkout.test_card import tell
from tests.integration.services.bot.people import BotWorld

PHONE = "8 (900) 123-45-67"
AS_SENT = "79001234567"


@pytest.fixture
def strict(world: BotWorld) -> Iterator[BotWorld]:
    """The same world while its shop sends receipts."""
    with world.bot.restarted_with(YOOKASSA_RECEIPTS="true"):
        yield world


async def test_the_receipts_address_is_asked_for_and_kept_out_of_the_ledger(
    strict: BotWorld, buyer: Buyer
) -> None:
    await buyer.say("/topup")
    await buyer.choose(BY_YOOKASSA)
    await buyer.hears("Where shall the receipt go?")
    await buyer.say("to me, please")
    await buyer.hears("neither an e-mail nor a phone number")
    assert await buyer.events("PaymentOrdered") == []
    await buyer.say(PHONE)
    await buyer.sees(CHECK)
    await buyer.at_the_page()
    await tell(buyer)
    await buyer.hears("Paid\n5 credits")
    assert await buyer.bought() == [5]
    rows = await strict.rows(
        "SELECT request::text FROM payment_requests WHERE request::text LIKE $1", f"%{AS_SENT}%"
    )
    assert len(rows) == 1
    told = await strict.rows("SELECT type FROM events WHERE data::text ~ '900.?123.?45.?67|9001234567'")
    assert told == []
    assert AS_SENT not in strict.bot.log and PHONE not in strict.bot.log


async def test_a_payment_whose_time_is_over_says_so_and_leads_to_another(
    buyer: Buyer, world: BotWorld
) -> None:
    payment = await buyer.order_by_card()
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        over = ExpirePayment(payment, "unpaid")
        await ledger.execute(over, key=key_of(over))
    words = await buyer.hears("The time to pay is over")
    assert "Nothing was charged" in words
    assert buyer.chat.button(CHECK) is None
    await buyer.press(TOPUP)  # and again from there
    await buyer.sees(BUY)
