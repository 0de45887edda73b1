"""The cabinet: credits that end, operations and their stories, payments by pages."""

import json
from datetime import UTC, datetime
from typing import Any

from events.job import Failure
from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.promotions import commands as g
from ledger.sql import load_queries
from projections.verify.run import check_ledger
from services.adapters.telegram.callback_data import Cabinet, MyData
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.integration.services.bot.people import BotWorld, Visitor

query = load_queries("ledger.log")


def section(name: Any) -> str:
    return Cabinet(section=name).pack()


YEAR_S = 366 * 24 * 3600


async def test_the_cabinet_shows_what_ends_when_and_what_has_ended(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        account = await pool.fetchval(
            "SELECT account FROM accounts WHERE telegram_id = $1", visitor.chat.user_id
        )
        now_us = await pool.fetchval(query("clock"))
        await ledger.execute(
            g.CreatePromo("YEAR-3", 3, 1, None, YEAR_S, "login:neurocards_operator", "sale"), key="code"
        )
        await ledger.execute(g.RedeemPromo("YEAR-3", account), key="use of it")
        lots = (await ledger.read.account(account)).lots
        (ends_at_us,) = [lot.expires_at_us for lot in lots if lot.expires_at_us is not None]
        grant = c.GrantCredits(account, 4, "manual", "x", None, now_us + 200_000)
        await ledger.execute(grant, key=f"grant:{account}")
        await pool.execute("SELECT pg_sleep(0.25)")  # the end of a life is a time by nature
        await ledger.execute(c.ExpireCredits(account), key=f"expire:{account}")
    await visitor.say("/cabinet")
    words = await visitor.hears("My account")
    ends = datetime.fromtimestamp(ends_at_us / 1_000_000, UTC)
    assert "Balance: 5 credits" in words
    assert f"3 credits: promo code, until {ends.day}\u00a0{ends:%b}" in words
    await visitor.press(section("operations"))
    words = await visitor.hears("Operations")
    assert "−4 credits · not used in time" in words and "+3 credits · promo code" in words


async def fail(world: BotWorld, job: str, account: str, error_class: str) -> None:
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        failure = Failure(error_class, "test")
        await ledger.execute(c.FailJob(job, account, "operator", failure), key=f"fail:{job}")


async def test_failed_orders_are_one_line_and_each_operation_has_its_story(
    visitor: Visitor, other_visitor: Visitor, world: BotWorld
) -> None:
    for person, number in ((visitor, 2), (other_visitor, 1)):
        await person.enter()
        await person.tap(await person.to_confirm(number))
        await person.hears("in the queue|в очереди")
    sql = "SELECT j.job, j.account FROM open_jobs j JOIN accounts a USING (account) WHERE telegram_id = $1"
    (first, _), (other,) = [await world.rows(sql, p.chat.user_id) for p in (visitor, other_visitor)]
    await fail(world, first["job"], first["account"], "bad_image")
    await fail(world, other["job"], other["account"], "timeout")

    await other_visitor.say("/cabinet")
    await other_visitor.press(section("operations"))
    words = await other_visitor.hears("Операции")
    assert "0 кредитов · заказ: 1 видео – не вышло, кредиты вернулись (не успели в срок)" in words
    assert words.count("1 видео") == 1 and "Время московское" in words

    await visitor.say("/cabinet")
    panel = (await visitor.sees(section("operations"))).message_id
    await visitor.press(section("operations"))
    partly = "of them 1 did not work out, credits for that back (the photo did not suit)"
    assert f"−1 credit · order: 2 videos, {partly}" in await visitor.hears("Operations")
    story = await visitor.sees(Cabinet(section="spent").pack()[:-1])
    assert story.text == "1" and story.message_id == panel, "one message, edited"
    await visitor.tap(story)
    words = await visitor.hears("How these credits were spent")
    assert "+2 credits: welcome gift" in words and "a video 2 of 2, UGC blogger" in words
    assert "did not work out: the photo did not suit" in words and "+1 credit: refund" in words
    assert first["job"] not in words and first["account"] not in words
    theirs = await world.rows("SELECT position FROM events WHERE stream = $1", f"account-{other['account']}")
    for value in (theirs[-1]["position"], 10**30):  # of somebody else, and of nothing
        await visitor.tap(type(story)(panel, "", section("settings")))
        await visitor.hears("Settings")
        await visitor.tap(type(story)(panel, "", Cabinet(section="spent", value=value).pack()))
        assert partly in await visitor.hears("Operations")


async def test_a_person_gets_what_is_held_of_them_and_deletes_it(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    await visitor.tap(await visitor.to_confirm(1))
    await visitor.hears("in the queue")
    sql = "SELECT account FROM accounts WHERE telegram_id = $1"
    (row,) = await world.rows(sql, visitor.chat.user_id)
    account = row["account"]
    await visitor.say("/privacy")
    old = await visitor.sees(MyData(do="show").pack())
    await visitor.tap(old)
    export = await visitor.sees(MyData(do="export").pack())
    for number in range(1, 4):
        await visitor.say("/cabinet")  # or it were the same tap once more
        await visitor.tap(export)
        sent = await visitor.chat.until(lambda _: [m for m in visitor.heard if "document" in m], 60, "a file")
        assert len(sent) == 1, number
    held = json.loads(await visitor.chat.file(sent[0]["document"]["file_id"]))
    assert held["tables"]["accounts"][0]["telegram_id"] == visitor.chat.user_id
    assert held["tables"]["texts"][0]["body"]["product"] == "A red mug" and held["more_rows_in"] == []
    assert [line.partition(": ")[2] for line in held["operations"]] == [
        "−1 credit, order: 1 video", "+2 credits, welcome gift",
    ]  # fmt: skip
    assert [read["what"] for read in held["tables"]["person_reads"]] == ["export"] * 3
    await visitor.say("/cabinet")
    assert "three times within a day" in await visitor.tap(export)

    await visitor.tap(type(old)(old.message_id, "", MyData(do="ask").pack()))
    words = await visitor.hears("Delete my data")
    assert "what you have: 1 credit" in words and "in the making (1 video)" in words
    await visitor.press(MyData(do="sure").pack())
    await visitor.hears("Really delete")
    sure = await visitor.sees(MyData(do="erase").pack().rpartition(":")[0])
    await visitor.tap_at_once(sure, 2)
    await visitor.hears("Everything of yours is deleted")
    for data in (section("payments"), MyData(do="export").pack(), sure.data):
        assert "Nothing of yours" in await visitor.tap(type(old)(old.message_id, "", data))
    assert await world.rows(sql, visitor.chat.user_id) == []
    actors = "SELECT data ->> 'actor' AS actor FROM events WHERE stream = $1 AND type = 'AccountForgotten'"
    (forgotten,) = await world.rows(actors, f"account-{account}")
    assert forgotten["actor"] == f"account:{account}"
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        assert (await ledger.read.account(account)).balance == 2, "refunded, and lost with the account"
        assert await check_ledger(pool) == []
    await visitor.enter()
    assert (await visitor.books()).balance == 0, "no second welcome"


async def test_payments_by_pages_and_only_the_newest_panel_has_buttons(
    visitor: Visitor, world: BotWorld
) -> None:
    await visitor.enter()
    await visitor.say("/cabinet")
    old = (await visitor.sees(section("payments"))).message_id
    await visitor.press(section("payments"))
    await visitor.hears("No payments yet")
    for number in range(8):
        await world.rows(
            """INSERT INTO payments (payment, account, provider, package, credits, amount_minor, currency,
                                     test, ordered_at_us, state, settled_at_us, updated_at_us, position)
               SELECT $1 || account, account, 'yookassa', 'p', 10, 79000, 'RUB', false, $2, 'succeeded',
                      NULL, 0, 0 FROM accounts WHERE telegram_id = $3""",
            f"p{number}", 1_796_000_000_000_000 + number, visitor.chat.user_id,
        )  # fmt: skip
    await visitor.say("/cabinet")
    await visitor.press(section("payments"))
    words = await visitor.hears("Payments")
    assert words.count("10 credits · 790\u00a0₽ · ✅ paid") == 6
    await visitor.press(Cabinet(section="payments", value=1).pack())
    await visitor.chat.until(lambda _: visitor.words.count("✅ paid") == 2, 60, "the second page")
    assert visitor.buttons(old) == []
    await world.rows("DELETE FROM payments WHERE package = 'p'")  # the log does not know them
