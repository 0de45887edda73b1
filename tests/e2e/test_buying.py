"""A person who runs out of credits buys some at YooKassa's page, and orders a video with them."""

from services.rehearsal.chat_client import Button, Chat, open_http
from tests.support.playing import ANSWER_S, CREDITS, Play

SMALL_VIDEOS = True
WAIT_S = 90.0


async def test_bought_credits_become_a_video(play: Play) -> None:
    seller = play.seller()
    await seller.begin()
    chat = seller.chat
    await chat.say("/topup")
    await chat.tap(await _button(chat, "buy:credits-5:"))
    await chat.tap(await _button(chat, "payby:yookassa:credits-5:"))
    link = await chat.until(_link, WAIT_S, "a link to pay at")
    async with open_http() as browser:
        assert (await browser.post(link, data={"action": "pay"})).status_code == 303
    if paid := chat.button("paid:"):  # gone already when the notification was faster
        await chat.tap(paid)
    await chat.until(lambda chat: _says(chat, "Paid\n5 credits"), ANSWER_S, "the credits")
    assert await seller.balance() == CREDITS + 5

    confirm = await seller.draft(play.product(seller))
    order = await seller.order(confirm)
    await seller.results(order, 1, ANSWER_S)
    assert await seller.balance() == CREDITS + 4
    assert await play.log_watch.balance_of(chat.user_id) == CREDITS + 4


async def _button(chat: Chat, data: str) -> Button:
    found: Button = await chat.until(lambda chat: chat.button(data), WAIT_S, f"a button {data}")
    return found


def _link(chat: Chat) -> str | None:
    for message in reversed(chat.from_bot()):
        for row in message.get("reply_markup", {}).get("inline_keyboard", []):
            for button in row:
                if "url" in button:
                    return str(button["url"])
    return None


def _says(chat: Chat, words: str) -> bool:
    return any(words in message.get("text", "") for message in chat.from_bot())
