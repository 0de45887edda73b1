"""Messages that no event owes: once, never late or at night, and not when they are no longer so."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest

from ledger import commands as c
from ledger.system.commands import PauseSales, ResumeSales
from services.accounts.drafts import Draft, Drafts
from services.accounts.erase import Forgetting
from services.accounts.personal_data import Brief
from services.adapters.telegram.callback_data import BackToOrder, Repair
from services.adapters.telegram.callback_data import Reminders as Switch
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.prompts.styles import style_of
from services.maintenance.gauges import Balances
from services.maintenance.reminders import Notices, Reminders
from services.maintenance.retention import Retention
from services.platform.catalogues import MOSCOW
from services.platform.settings import Settings
from tests.integration.ledger.tampering import project
from tests.integration.services.notifier.conftest import NewNotifier, Notifier, row
from tests.support.order_fixture import OrderFixture, Seller
from tests.support.stored_draft import store_draft
from tests.support.telegram import ScriptedTelegram, Shown, refusal

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

NOON = datetime.now(MOSCOW).replace(hour=12, minute=0, second=0, microsecond=0)


def at_us(days: float = 0, hours: float = 0) -> int:
    return int((NOON + timedelta(days=days, hours=hours)).timestamp() * 1e6)


async def remind(studio: OrderFixture, days: float = 0, hours: float = 0) -> int:
    """As maintenance does, so far from today's noon in Moscow."""
    return await Reminders(studio.ledger, studio.pool).run_once(at_us(days, hours))


async def with_ends(studio: OrderFixture, *days: float) -> Seller:
    """Somebody with a lot of two credits for each of these ends."""
    seller = await studio.seller(credits=1, locale="en")
    for number, end in enumerate(days):
        grant = c.GrantCredits(seller.account, 2, "manual", "x", None, at_us(end))
        await studio.ledger.execute(grant, key=f"grant:{seller.account}:{number}")
    await project(studio.pool)
    return seller


def reminded(telegram: ScriptedTelegram, seller: Seller) -> list[Shown]:
    """What the seller was sent, beside that support gave credits."""
    return [shown for shown in telegram.sent(seller.chat_id) if "from support" not in shown.text]


async def left(studio: OrderFixture, seller: Seller, draft: str, hours: float = 4, **changes: Any) -> Draft:
    """An order at its card, last touched so long ago."""
    made = Draft(draft, seller.account, seller.chat_id, "photos/p.jpg", f"b-{draft}", Brief("cup"), **changes)
    await store_draft(studio.pool, made)
    sql = "UPDATE drafts SET used_at = now() - interval '1 hour' * $2::float8 WHERE draft = $1"
    await studio.pool.execute(sql, draft, hours)
    return made


async def test_what_ends_is_told_once_a_day_and_only_by_day(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await with_ends(studio, 1, 1, 7)
    other = await with_ends(studio, 2, 6, 8)
    for hours in (-2.01, 8):
        assert await remind(studio, hours=hours) == 0, "at night"
    east = Reminders(studio.ledger, studio.pool, utc_offset=11)
    assert [await east.run_once(at_us(hours=hours)) for hours in (0, 7.9)] == [0, 0], "night in Magadan"
    assert sum(await asyncio.gather(*(remind(studio, hours=hour) for hour in (-2, 0, 0, 7.9)))) == 1
    await notifier.run()
    assert await remind(studio) == 0
    await notifier.run()
    (shown,) = reminded(telegram, seller)
    for number, days in ((4, 1), (2, 7)):
        assert f"{number} credits: {(NOON + timedelta(days)).day} " in shown.text
    assert shown.buttons[-1] == Switch(on=False).pack() and reminded(telegram, other) == []


async def test_days_that_were_missed_are_not_made_up_for(studio: OrderFixture, pool: "Pool") -> None:
    await with_ends(studio, 7)
    assert [await remind(studio, days) for days in (3, 4, 5, 6, 7)] == [0, 0, 0, 1, 0]


async def test_an_order_left_at_its_card_is_told_of_once_ever_and_kept(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool", settings: Settings
) -> None:
    seller = await studio.seller(locale="en")
    card = telegram.place(seller.chat_id)
    await left(studio, seller, "d1", 23, message_id=card)
    for draft, changes in (
        ("fresh", {"hours": 2, "message_id": 1}), ("no card", {}),
        ("placed", {"message_id": 1, "confirmed": True}), ("done", {"message_id": 1, "ordered": True}),
    ):  # fmt: skip
        await left(studio, await studio.seller(), draft, **cast(Any, changes))
    assert sum(await asyncio.gather(remind(studio), remind(studio))) == 1
    await notifier.run()
    (shown,) = reminded(telegram, seller)
    assert shown.buttons == [BackToOrder(draft="d1").pack(), Switch(on=False).pack()]
    (call,) = telegram.called("sendMessage", seller.chat_id)
    assert f'"message_id":{card}' in call.fields["reply_parameters"].replace(" ", "")
    assert await pool.fetchval("SELECT used_at > now() - interval '1 hour' FROM drafts WHERE draft = 'd1'")
    await pool.execute("UPDATE drafts SET used_at = now() - interval '5 hours' WHERE draft = 'd1'")
    assert await remind(studio) == 0, "once ever"


Between = Callable[["Pool", Seller, Settings, OrderFixture, ScriptedTelegram], Awaitable[object]]


async def switched_off(pool: "Pool", seller: Seller, *_: Any) -> None:
    await pool.execute("UPDATE accounts SET reminders = false WHERE account = $1", seller.account)


async def too_late(pool: "Pool", *_: Any) -> None:
    await pool.execute("UPDATE deliveries SET owed_at = owed_at - interval '61 minutes'")


async def forget(settings: Settings, pool: "Pool", studio: OrderFixture, seller: Seller) -> None:
    actor = "login:neurocards_operator"
    await Forgetting(settings, pool, studio.ledger, studio.blobs).forget(
        seller.account, actor=actor, reason="x"
    )


async def erased(pool: "Pool", seller: Seller, settings: Settings, studio: OrderFixture, *_: Any) -> None:
    await forget(settings, pool, studio, seller)


async def blocked(pool: "Pool", *others: Any) -> None:
    others[-1].next("sendMessage", refusal(403, "Forbidden: bot was blocked by the user"))


async def spent(pool: "Pool", seller: Seller, settings: Settings, studio: OrderFixture, *_: Any) -> None:
    order = c.OrderVideos(seller.account, "o1", ("j1",), 3, "m", "ugc", "p", "b", "en", 900)
    await studio.ledger.execute(order, key="order:o1")


async def taken(pool: "Pool", seller: Seller, settings: Settings, studio: OrderFixture, *_: Any) -> None:
    command = c.RevokeCredits(seller.account, 3, "x", actor="login:neurocards_operator")
    await studio.ledger.execute(command, key="take")


async def touched(pool: "Pool", seller: Seller, *_: Any) -> None:
    await Drafts(pool).open(seller.account)


async def placed(pool: "Pool", seller: Seller, *_: Any) -> None:
    await Drafts(pool).mark_ordered("d1")


async def dropped(pool: "Pool", seller: Seller, *_: Any) -> None:
    await Drafts(pool).drop("d1")


@pytest.mark.parametrize(
    ("kind", "between"),
    [
        *(("ending", between) for between in (switched_off, too_late, erased, blocked, spent, taken)),
        *(("left", between) for between in (switched_off, too_late, erased, touched, placed, dropped)),
    ],
)
async def test_what_is_no_longer_so_when_it_is_sent_is_not_sent(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool", settings: Settings,
    kind: str, between: Between,
) -> None:  # fmt: skip
    seller = await with_ends(studio, *([1] if kind == "ending" else []))
    if kind == "left":
        await left(studio, seller, "d1", message_id=1)
    assert await remind(studio) == 1
    await between(pool, seller, settings, studio, telegram)
    await notifier.send()
    (told,) = await pool.fetch("SELECT state, position FROM deliveries WHERE kind = $1", kind)
    assert (told["state"], told["position"], reminded(telegram, seller)) == ("skipped", 0, [])


async def test_topped_up_in_between_is_told_with_what_is_true_then(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    seller = await with_ends(studio, 1)
    await remind(studio)
    await studio.ledger.execute(c.GrantCredits(seller.account, 7, "manual", "x", None, at_us(5)), key="more")
    await notifier.send()
    (shown,) = reminded(telegram, seller)
    assert "2 credits" in shown.text and "7 credits" in shown.text


# Whoever asked is told that it works.

MODELS = style_of("ugc").makers(load_catalogue())


@pytest.fixture
def notices(settings: Settings, studio: OrderFixture) -> Notices:
    balances = Balances(cast(Any, None))
    balances._read_last = {"k1": Decimal(100_000)}
    return Notices(settings, studio.ledger, studio.pool, balances)


async def asks(pool: "Pool", seller: Seller, draft: str = "", by: int = 1) -> None:
    await Drafts(pool).tell_when_it_works(seller.account, draft, by)
    await pool.execute("UPDATE notice_requests SET asked_at = asked_at - interval '11 minutes'")


async def test_who_asked_is_told_once_when_a_model_is_well_and_paid_for(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram, pool: "Pool", notices: Notices
) -> None:
    seller, book = await studio.seller(locale="en"), CircuitBook(pool)
    order = await studio.order(seller, status_message=telegram.place(seller.chat_id))
    await pool.execute("UPDATE drafts SET format = '9:16', seconds = 5")
    every = {m.slug for model in MODELS for m in load_catalogue().candidates(model)}
    await asks(pool, seller, order.order_id)
    for slug in every:
        await book.pause(slug, "ann", "away")
    assert await notices.run_once() == 0, "no model is well"
    await book.resume(MODELS[-1].slug, "ann", "back")
    funds, notices._balances._read_last = notices._balances._read_last, {"k1": Decimal(1)}
    assert await notices.run_once() == 0, "nobody pays for it"
    notices._balances._read_last = funds
    await pool.execute("UPDATE notice_requests SET asked_at = now()")
    assert await notices.run_once() == 0, "it has hardly failed"
    await asks(pool, seller, order.order_id)
    closed = PauseSales(actor="login:neurocards_operator", reason="x")
    await studio.ledger.execute(closed, key="pause")
    assert await notices.run_once() == 0, "nothing is sold"
    await studio.ledger.execute(ResumeSales(actor="login:neurocards_operator", reason="x"), key="resume")
    assert sum([await notices.run_once(), await notices.run_once()]) == 1
    await notifier.send()
    (shown,) = reminded(telegram, seller)
    assert shown.buttons[0] == Repair(draft=order.order_id, part="").pack() and "made again" in shown.text
    await asks(pool, seller, order.order_id)
    assert await notices.run_once() == 0, "the same tap once more"
    assert await pool.fetchval("SELECT count(*) FROM notice_requests") == 0
    await asks(pool, seller, by=2)
    assert await notices.run_once() == 1
    (again,) = await pool.fetch("SELECT account, order_id FROM deliveries WHERE state = 'pending'")
    assert (again["account"], again["order_id"]) == (seller.account, "")


async def test_a_request_ends_with_the_next_order_the_person_or_three_days(
    studio: OrderFixture, pool: "Pool", settings: Settings
) -> None:
    ordering, leaving, waiting = [await studio.seller() for _ in range(3)]
    for seller, draft in ((ordering, "d1"), (leaving, "d2"), (waiting, "d3")):
        await left(studio, seller, draft, 60, message_id=1)
        await asks(pool, seller, draft)
    assert await remind(studio) == 0, "what cannot be ordered is not reminded of"
    sweep = Retention(pool, studio.blobs, settings)
    await sweep.run_once()
    assert await pool.fetchval("SELECT count(*) FROM drafts") == 3, "kept while its person waits"
    await Drafts(pool).mark_ordered("d1")
    await forget(settings, pool, studio, leaving)
    assert [r["draft"] for r in await pool.fetch("SELECT draft FROM notice_requests")] == ["d3"]
    await pool.execute("UPDATE notice_requests SET asked_at = asked_at - interval '3 days'")
    await sweep.run_once()
    await sweep.run_once()
    assert await pool.fetchval("SELECT count(*) FROM notice_requests") == 0
    assert await pool.fetchval("SELECT count(*) FROM drafts WHERE draft = 'd3'") == 0


async def test_a_reminder_that_waits_keeps_no_video_back_and_one_of_an_event_stays_unique(
    studio: OrderFixture, new_notifier: NewNotifier, telegram: ScriptedTelegram, pool: "Pool"
) -> None:
    notifier, seller = new_notifier(), await with_ends(studio, 1)
    await remind(studio)
    await too_late(pool)
    order = await studio.order(seller)
    await studio.finish(order.jobs[0], b"the film")
    await notifier.run()
    (shown,) = reminded(telegram, seller)
    assert shown.video == b"the film"
    position = (await row(pool, order.jobs[0]))["position"]
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute("UPDATE deliveries SET position = $1 WHERE position = 0", position)
