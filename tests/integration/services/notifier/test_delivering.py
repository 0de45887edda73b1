"""Each seller hears once, in order, in their language."""

import json
from typing import TYPE_CHECKING

import asyncpg
from msgspec.structs import replace

from ledger.sql import load_queries
from services.accounts.drafts import Draft
from services.accounts.personal_data import Brief
from services.adapters.telegram.callback_data import Again, Menu, MenuAction
from services.notifier.deliveries import Deliveries
from tests.integration.services.notifier.conftest import Notifier, make_due, row
from tests.support.order_fixture import OrderFixture
from tests.support.stored_draft import store_draft
from tests.support.telegram import ScriptedTelegram, refusal

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

query = load_queries("services.accounts")


async def test_a_video_is_sent_once_with_its_bytes_and_buttons(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0], b"the film")
    await notifier.run()
    await notifier.run()
    (shown,) = telegram.sent(seller.chat_id)
    assert shown.video == b"the film"
    assert "готово" in shown.text
    # It has no card that could have them.
    assert shown.buttons == [Again(draft=order.order_id).pack(), Menu(action=MenuAction.HOME).pack()]
    stored = await row(pool, order.jobs[0])
    assert (stored["state"], stored["message_id"]) == ("sent", shown.message_id)
    assert stored["file_id"] == f"file-{shown.message_id}"


async def test_a_failure_says_what_to_change_and_the_balance_after_the_refund(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram
) -> None:
    seller = await studio.seller(credits=7, locale="en")
    order = await studio.order(seller, 2, price=2)
    await studio.fail(order, order.jobs[1], "user_violation")
    await notifier.run()
    (shown,) = telegram.sent(seller.chat_id)
    assert "without faces" in shown.text
    assert "Video 2 of 2" in shown.text
    assert "2 credits are back. Your balance: 5 credits." in shown.text


async def test_a_result_after_the_refund_is_a_gift_given_once(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller(locale="en")
    order = await studio.order(seller, status_message=telegram.place(seller.chat_id))
    job = order.jobs[0]
    await studio.start(job)
    await studio.submit(job, task="t1")
    await studio.fail(order, job, "timeout")
    await notifier.run()
    await studio.succeed(job)
    await notifier.run()
    await notifier.run()
    failure, gift = telegram.sent(seller.chat_id)
    assert "not ready in time" in failure.text
    assert gift.video and "gift" in gift.text
    assert (await row(pool, job, "gift"))["state"] == "sent"


async def test_a_file_that_telegram_refuses_goes_as_a_link(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller(locale="en")
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    telegram.next("sendVideo", refusal(413, "Request Entity Too Large"))
    await notifier.run()
    (shown,) = telegram.sent(seller.chat_id)
    assert shown.video is None and "/files/" in shown.text
    assert (await row(pool, order.jobs[0]))["state"] == "sent"


async def test_a_video_over_50_mb_is_not_even_tried(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    await notifier.follow()
    await pool.execute("UPDATE deliveries SET size_bytes = 50 * 1024 * 1024 + 1")
    await notifier.send()
    assert not telegram.called("sendVideo")
    assert "/files/" in telegram.sent(seller.chat_id)[0].text


async def test_an_erased_account_is_left_alone(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller, status_message=telegram.place(seller.chat_id))
    await studio.fail(order, order.jobs[0])
    await pool.execute("DELETE FROM accounts WHERE account = $1", seller.account)
    await notifier.run()
    assert not telegram.calls
    assert (await row(pool, order.jobs[0], "failure"))["state"] == "skipped"


async def test_a_missing_file_waits_for_the_store(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    video = await studio.finish(order.jobs[0], b"film")
    await studio.blobs.delete(video.blob)
    await notifier.run()
    assert (await row(pool, order.jobs[0]))["state"] == "pending"
    await studio.succeed(order.jobs[0], b"film")  # stores the bytes again; the event stands
    await make_due(pool)
    await notifier.run()
    assert [shown.video for shown in telegram.sent(seller.chat_id)] == [b"film"]


async def test_the_order_of_a_chat_is_kept_while_others_go_on(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller, other = await studio.seller(), await studio.seller()
    order, another = await studio.order(seller, 3), await studio.order(other, 3)
    for number, (job, its) in enumerate(zip(order.jobs, another.jobs, strict=True)):
        await studio.finish(job, f"a{number}".encode())
        await studio.finish(its, f"b{number}".encode())
    telegram.next("sendVideo", refusal(500, "Internal Server Error"), chat_id=seller.chat_id)
    await notifier.run()
    assert [shown.video for shown in telegram.sent(other.chat_id)] == [b"b0", b"b1", b"b2"]
    assert not telegram.sent(seller.chat_id)
    await make_due(pool)
    await notifier.run()
    assert [shown.video for shown in telegram.sent(seller.chat_id)] == [b"a0", b"a1", b"a2"]


async def test_where_a_message_arrived_is_not_noted_of_one_who_was_erased_meanwhile(
    studio: OrderFixture, pool: "Pool", notifier: Notifier
) -> None:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0])
    await notifier.follow()
    deliveries = Deliveries(pool, 60)
    (delivery,) = await deliveries.claim(1)
    assert await deliveries.begin(delivery)
    await pool.execute(query("forget_account"), seller.account)
    await deliveries.sent(delivery, 77, "file-1")
    after = await row(pool, order.jobs[0], "video")
    assert (after["state"], after["message_id"], after["file_id"]) == ("sent", None, None)


async def test_videos_come_as_replies_to_the_card_silent_but_the_first(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await studio.seller(locale="en")
    card = telegram.place(seller.chat_id)
    order = await studio.order(seller, 3, status_message=card)
    next_one = Draft("next", seller.account, seller.chat_id, "photos/p.jpg", "b-next", Brief("lamp"))
    await store_draft(pool, replace(next_one, message_id=card + 500))  # in the making, on a card of its own
    for number in (1, 0):
        await studio.finish(order.jobs[number], b"film")
        await notifier.run()
    await studio.fail(order, order.jobs[2], "bad_image")
    await notifier.run()
    first, second = telegram.called("sendVideo", seller.chat_id)
    (failure,) = telegram.called("sendMessage", seller.chat_id)
    for call in (first, second, failure):
        answers = json.loads(call.fields["reply_parameters"])
        assert (answers["message_id"], answers["allow_sending_without_reply"]) == (card, True)
    silent = [call.fields.get("disable_notification") for call in (first, second, failure)]
    assert silent == ["false", "true", "false"]
    assert "reply_markup" not in first.fields and "reply_markup" not in second.fields
    assert first.fields["caption"].splitlines() == [
        "🎬 Your video is ready!", "Video 2 of 3", "📦 Product: cup", "🎨 Style: UGC blogger",
        "💳 Your balance: 97 credits.",
    ]  # fmt: skip
    await pool.execute("UPDATE status_messages SET due_at = clock_timestamp()")
    await notifier.run()
    assert Again(draft=order.order_id).pack() in telegram.message(seller.chat_id, card).buttons


async def test_an_order_of_one_video_leaves_its_card_and_one_message(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    for ends_well in (True, False):
        seller = await studio.seller()
        order = await studio.order(seller, status_message=telegram.place(seller.chat_id))
        if ends_well:
            await studio.finish(order.jobs[0])
        else:
            await studio.fail(order, order.jobs[0], "user_violation")
        for _ in range(2):
            await notifier.run()
            await make_due(pool)
        assert len([shown for shown in telegram.messages if shown.chat_id == seller.chat_id]) == 2
