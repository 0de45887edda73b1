"""Money that came is told once, with the order that it was missing for."""

from typing import TYPE_CHECKING, Any

import asyncpg
from msgspec.structs import replace

from ledger import commands as c
from ledger.payments.commands import OrderPayment, RecordPaymentCreated, SettlePayment, key_of
from services.accounts.drafts import Draft
from services.accounts.erase import Forgetting
from services.accounts.personal_data import Brief
from services.adapters.telegram.callback_data import BackToOrder, Menu, MenuAction, Order
from services.payments.tracking_store import TrackedPayment, TrackingStore
from services.platform.settings import Settings
from tests.integration.services.notifier.conftest import Notifier, make_due, row
from tests.support.order_fixture import OrderFixture, Seller
from tests.support.stored_draft import store_draft
from tests.support.telegram import ScriptedTelegram, refusal

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CREATE_A_VIDEO = Menu(action=MenuAction.CREATE).pack()


class Customer:
    """A seller with an order in the making, and payments."""

    def __init__(self, studio: OrderFixture, seller: Seller, telegram: ScriptedTelegram) -> None:
        self.studio, self.seller, self.telegram = studio, seller, telegram
        self.draft = Draft(
            f"d{seller.account}"[:24], seller.account, seller.chat_id, "photos/p.jpg", f"b{seller.account}",
            Brief("cup"), style="ugc", model="m", number=3, price=1, version=4, shown=4,
        )  # fmt: skip

    async def waits(self, **changes: Any) -> Draft:
        self.draft = replace(self.draft, **changes)
        return await store_draft(self.studio.pool, self.draft)

    async def changes(self, column: str, value: Any) -> None:
        sql = f"UPDATE drafts SET {column} = $2 WHERE draft = $1"
        await self.studio.pool.execute(sql, self.draft.draft, value)

    async def order(self, payment: str, credits: int = 5) -> int:
        """Order a payment; its status message."""
        account, message = self.seller.account, self.telegram.place(self.seller.chat_id)
        link = TrackedPayment(payment, account, chat_id=self.seller.chat_id, message_id=message)
        await TrackingStore(self.studio.pool).reserve(link, "yookassa")
        ordered = OrderPayment(
            payment, account, "yookassa", "p", credits, 39000, "RUB", "1", False, None, "x", "en"
        )
        for command in (ordered, RecordPaymentCreated(payment, f"y{payment}")):
            await self.studio.ledger.execute(command, key=key_of(command))
        return message

    async def pay(self, payment: str, again: str = "") -> None:
        command = SettlePayment(
            payment, self.seller.account, "yookassa", f"y{payment}{again}", 39000, "RUB", "1", False
        )
        await self.studio.ledger.execute(command, key=key_of(command))

    def create(self, version: int = 4) -> str:
        return Order(draft=self.draft.draft, version=version).pack()


async def customer(studio: OrderFixture, telegram: ScriptedTelegram, credits: int = 0) -> Customer:
    return Customer(studio, await studio.seller(credits=credits, locale="en"), telegram)


async def tell(notifier: Notifier, pool: "Pool") -> None:
    """All that there is to tell, as if every pause were over."""
    await notifier.follow()
    for _round in range(3):
        await pool.execute("UPDATE status_messages SET due_at = clock_timestamp()")
        await make_due(pool)
        await notifier.edit()
        await notifier.send()


async def test_a_payment_is_told_once_where_it_was_begun_and_goes_on_with_the_order(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    who = await customer(studio, telegram)
    await who.waits()
    message = await who.order("p1")
    await who.pay("p1")
    await notifier.follow()
    await notifier.send()
    assert telegram.of(who.seller.chat_id) == [], "not before its message says it"
    await tell(notifier, pool)
    shown = telegram.message(who.seller.chat_id, message)
    assert shown.text.splitlines() == ["✅ <b>Paid</b>", "5 credits: 390\u00a0₽", "Your balance: 5 credits."]
    assert shown.buttons == [who.create(), "menu:home"] and telegram.sent(who.seller.chat_id) == []
    told = await row(pool, "p1", "paid")
    assert (told["state"], told["message_id"]) == ("sent", message)

    await who.pay("p1", "again")  # another event: told by itself, and once
    await tell(notifier, pool)
    (twice,) = telegram.sent(who.seller.chat_id)
    assert "paid more than once" in twice.text and "10 credits" in twice.text
    assert twice.buttons == [who.create(), "menu:home"]


async def test_a_message_that_is_gone_is_replaced_by_one_that_says_the_same(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    who = await customer(studio, telegram)
    await who.waits()
    await who.order("p1")
    await who.pay("p1")
    telegram.next("editMessageText", refusal(400, "Bad Request: message to edit not found"))
    await tell(notifier, pool)
    await tell(notifier, pool)
    (sent,) = telegram.sent(who.seller.chat_id)
    assert "Credits received: 5 credits" in sent.text and sent.buttons == [who.create(), "menu:home"]


async def test_a_message_that_telegram_does_not_edit_keeps_the_chats_others_waiting_for_a_minute(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    who = await customer(studio, telegram)
    await who.order("p1")
    await who.pay("p1")
    telegram.next("editMessageText", refusal(502, "Bad Gateway"), times=99)
    await tell(notifier, pool)
    assert telegram.sent(who.seller.chat_id) == []
    await pool.execute("UPDATE deliveries SET owed_at = owed_at - interval '1 minute'")
    await tell(notifier, pool)
    (sent,) = telegram.sent(who.seller.chat_id)
    assert "Credits received: 5 credits" in sent.text


async def test_what_is_offered_is_the_order_as_its_card_shows_it_now(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    """Changed, not shown yet, not enough, without a style, dropped: each before the payment came."""
    who = await customer(studio, telegram)
    await who.waits()
    back = BackToOrder(draft=who.draft.draft).pack()
    became = [
        ("version", 5, back), ("shown", 5, who.create(5)), ("number", 50, back), ("number", 2, who.create(5)),
        ("style", "", back), ("draft", None, CREATE_A_VIDEO),
    ]  # fmt: skip
    for number, (column, value, offered) in enumerate(became):
        message = await who.order(f"p{number}")
        await tell(notifier, pool)
        if value is None:
            await pool.execute("DELETE FROM drafts WHERE draft = $1", who.draft.draft)
        else:
            await who.changes(column, value)
        await who.pay(f"p{number}")
        await tell(notifier, pool)
        shown = telegram.message(who.seller.chat_id, message)
        assert shown.buttons == [offered, "menu:home"], (column, value)


async def test_an_order_that_is_placed_takes_its_button_along(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    who = await customer(studio, telegram)
    await who.waits()
    message = await who.order("p1")
    await who.pay("p1")
    await tell(notifier, pool)
    assert telegram.message(who.seller.chat_id, message).buttons == [who.create(), "menu:home"]
    await who.changes("confirmed", True)
    draft = who.draft
    order = c.OrderVideos(
        draft.account, draft.draft, ("j1", "j2", "j3"), 1, "m", "ugc", draft.photo, draft.brief, "en", 900
    )
    await studio.ledger.execute(order, key=f"order:{draft.draft}")
    await tell(notifier, pool)
    assert telegram.message(who.seller.chat_id, message).buttons == []


async def test_credits_by_other_roads_offer_the_order_that_they_were_missing_for(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    who = await customer(studio, telegram, credits=2)
    placed = [await studio.order(who.seller) for _number in range(2)]
    await who.waits()
    account = who.seller.account
    for number, credits in enumerate((1, 2)):
        grant = c.GrantCredits(account, credits, "manual", "sorry", actor="login:neurocards_operator")
        await studio.ledger.execute(grant, key=f"grant:{number}")
        await tell(notifier, pool)
    few, enough = telegram.sent(who.seller.chat_id)
    assert "1 bonus credit</b>" in few.text and "from support" in few.text and few.buttons == ["menu:home"]
    assert "3 credits" in enough.text and enough.buttons == [who.create(), "menu:home"]
    await studio.ledger.execute(c.RevokeCredits(account, 1, "test"), key="revoke")
    for order in placed:
        await studio.fail(order, order.jobs[0])
        await tell(notifier, pool)
    short, not_short = telegram.sent(who.seller.chat_id)[2:]
    assert short.buttons[0] == who.create(), "this refund made it affordable"
    assert who.create() not in not_short.buttons, "that it could be ordered before is no news"


async def test_whatever_moves_credits_has_the_bot_show_the_balance_on_an_open_card(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    """One update for each batch and chat; none about a card that is placed or not there."""
    who, being_erased = [await customer(studio, telegram, credits=5) for _seller in range(2)]
    account, chat = who.seller.account, who.seller.chat_id
    placed = await studio.order(who.seller)

    async def told() -> list[Any]:
        await notifier.follow()
        rows = await pool.fetch("DELETE FROM updates RETURNING update_id, chat_id, user_id, urgent")
        return [tuple(row) for row in rows]

    async def granted(key: str, to: str = account) -> int:
        grant = c.GrantCredits(to, 1, "manual", key, actor="login:neurocards_operator")
        return (await studio.ledger.execute(grant, key=key)).position

    assert await told() == [], "no order is in the making"
    for changes in ({"message_id": None}, {"message_id": 7, "confirmed": True}):
        await who.waits(**changes)
        await granted(str(changes))
        assert await told() == [], changes
        await pool.execute("DELETE FROM drafts WHERE draft = $1", who.draft.draft)
    await who.waits(message_id=7, confirmed=False)
    await being_erased.waits(message_id=7)
    await studio.fail(placed, placed.jobs[0])
    ends = await studio.ledger.execute(c.RevokeCredits(account, 1, "test"), key="revoke")
    async with pool.acquire() as erasing, erasing.transaction():
        await erasing.execute(
            "SELECT FROM accounts WHERE account = $1 FOR UPDATE", being_erased.seller.account
        )
        await granted("other", being_erased.seller.account)
        assert await told() == [(-ends.position, chat, chat, False)], "whoever is being erased is left out"
    await who.order("p1")
    await who.pay("p1")
    (paid,) = await told()
    assert paid[0] < -ends.position and paid[1] == chat
    await studio.order(who.seller)
    assert await told() == [], "a charge is the card's own"


async def test_who_was_erased_meanwhile_is_told_nothing(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool", settings: Settings
) -> None:
    who = await customer(studio, telegram)
    await who.waits()
    message = await who.order("p1")
    await who.pay("p1")
    forgetting = Forgetting(settings, pool, studio.ledger, studio.blobs)
    await forgetting.forget(who.seller.account, actor="login:neurocards_operator", reason="asked for")
    await tell(notifier, pool)
    assert telegram.of(who.seller.chat_id) == [] and not telegram.message(who.seller.chat_id, message).edits
