"""The way from /start to an order, against the sandboxed Telegram."""

from services.shared.buttons import ChooseCount, ChooseStyle
from tests.integration.bot.people import ORDER, TERMS, Books, Visitor


async def test_from_start_to_an_order(visitor: Visitor) -> None:
    await visitor.say("/start")
    assert "2 credits" in await visitor.hears("terms in short")
    await visitor.press(TERMS)
    assert "You have 2 credits" in await visitor.hears("Welcome")
    await visitor.to_product()
    await visitor.say("A red mug <b>& more</b>")
    await visitor.press(ChooseStyle(style="commercial").pack())
    await visitor.hears("wishes")
    await visitor.say("on a windowsill")
    await visitor.press(ChooseCount(count=1).pack())
    words = await visitor.hears("Check your order")
    assert "A red mug <b>& more</b>" in words and "on a windowsill" in words
    assert "Price: 1 credit" in words and "Balance: 2 credits" in words
    confirm = await visitor.sees(ORDER)
    assert await visitor.books() == Books(2, 0, 0)
    assert await visitor.tap(confirm) == "✅ Accepted: 1 video, 1 credit charged."
    assert await visitor.books() == Books(1, 1, 1)
    await visitor.hears("in the queue")
    assert visitor.buttons(confirm.message_id) == []
