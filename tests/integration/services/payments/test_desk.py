"""Buying at the desk: every fault of the provider, the same words every time, and credits that are money."""

import asyncio
import json

import pytest

from ledger import commands as c
from ledger.errors import AccountErasedError, TermsNotAcceptedError
from services.adapters.telegram.client import create_bot
from services.adapters.yookassa.errors import BadCredentialsError, YooKassaNoAnswerError
from services.payments.errors import ContactNeededError, NotForSaleError, PaymentNotCreatedError
from services.payments.yookassa import YooKassaPayments
from services.sandbox import telegram, yookassa
from services.sandbox.app import Clock
from tests.support.outside import outside
from tests.support.payment_fixture import payment_settings, till


async def moved_back(pool, hours: float) -> None:
    """Everything that is looked after began so long ago."""
    await pool.execute(
        "UPDATE payment_watch SET opened_at = opened_at - make_interval(secs => $1)", hours * 3600
    )


async def test_a_payment_from_order_to_credits(shop, alarms):
    buyer = await shop.buyer()
    payment = await shop.pending(buyer)
    assert (await shop.yookassa.check(payment)).standing == "pending"
    await shop.press(payment)
    view = await shop.yookassa.check(payment)
    assert (view.standing, view.confirmation_url) == ("paid", None)
    account = await shop.ledger.read.account(buyer)
    assert account.balance == 5
    assert account.lots[0].expires_at_us is not None
    ((_, money),) = (await shop.credits_are_money()).items()
    assert (money.paid_minor, money.credits) == (39_000, 5)
    assert await shop.pool.fetchval("SELECT count(*) FROM payment_watch") == 0
    assert alarms() == {}


async def test_declined(shop):
    payment = await shop.pending()
    await shop.press(payment, "insufficient_funds")
    assert (await shop.yookassa.check(payment)).standing == "cancelled"
    assert await shop.credits_are_money() == {}


@pytest.mark.parametrize("fault", ["500_before", "500_after", "429", "hang", "html_502", "reset"])
async def test_whatever_the_provider_does_asking_again_is_one_payment(shop, sandbox, fault):
    payment = await shop.order()
    sandbox.fault("yookassa", "create", fault)
    with pytest.raises(YooKassaNoAnswerError):
        await shop.yookassa.make(payment)
    assert (await shop.desk.view(payment)).standing == "ordered"
    await shop.watching.run_once()  # nobody comes back to ask: the monitor goes on
    assert (await shop.desk.view(payment)).standing == "pending"
    await shop.press(payment)
    await shop.yookassa.check(payment)
    assert len(await shop.credits_are_money()) == len(shop.book()["payments"]) == 1


async def test_away_and_back(shop, settings, ledger, pool, sandbox):
    payment = await shop.order()
    away = payment_settings(settings.database_url, "http://127.0.0.1:9")
    async with till(away, ledger, pool, sandbox) as other:
        with pytest.raises(YooKassaNoAnswerError):
            await other.yookassa.make(payment)
    assert (await shop.yookassa.make(payment)).standing == "pending"


async def test_changed_settings_change_no_words_that_were_used(shop, settings, ledger, pool, sandbox):
    payment = await shop.order()
    sandbox.fault("yookassa", "create", "500_after")
    with pytest.raises(YooKassaNoAnswerError):
        await shop.yookassa.make(payment)
    changed = settings.replace(payment_return_url="https://t.me/another_bot")
    async with till(changed, ledger, pool, sandbox) as restarted:
        assert (await restarted.yookassa.make(payment)).standing == "pending"
    assert len(shop.book()["payments"]) == 1


async def test_a_payer_comes_back_to_the_chat_of_the_bot_that_sold(settings, ledger, pool):
    routes = {"/telegram": telegram.routes, "/yookassa": yookassa.routes}
    async with outside(routes, clock=Clock()) as sandbox:
        token, base = settings.telegram_token.get_secret_value(), f"{sandbox.url}/telegram"
        real = settings.replace(sandbox_url=sandbox.url, bot_token=token, telegram_api_url=base)
        async with till(real, ledger, pool, sandbox) as shop, create_bot(real) as bot:
            await YooKassaPayments(shop.desk, shop.yookassa.shop, bot.me).make(await shop.order())
    asked = json.loads(await pool.fetchval("SELECT request FROM payment_requests"))
    assert asked["confirmation"]["return_url"] == "https://t.me/neurocards_bot"


async def test_refused_by_the_provider(shop, alarms):
    payment = await shop.order()
    await shop.pool.execute(
        """INSERT INTO payment_requests (payment, request) VALUES ($1, '{"capture": true}')""",
        payment,
    )
    with pytest.raises(PaymentNotCreatedError, match="was refused"):
        await shop.yookassa.make(payment)
    assert (await shop.desk.view(payment)).standing == "cancelled"
    assert alarms() == {"refused": 1}


async def test_a_sentence_of_the_provider_gets_into_no_event(shop):
    payment = await shop.pending()
    said = ("declined for Anna Petrova", "the bank of Anna Petrova")
    assert await shop.desk.cancel(payment, "yookassa", "yk-1", *said) == "cancelled"
    event = "SELECT data::text FROM events WHERE type = 'PaymentCancelled'"
    assert json.loads(await shop.pool.fetchval(event)) == {
        "provider_payment": "yk-1", "reason": "unknown", "party": "yookassa",
    }  # fmt: skip


async def test_wrong_credentials_end_no_payment(shop, settings, ledger, pool, sandbox, alarms):
    payment = await shop.order()
    wrong = settings.replace(yookassa_shop_id="100500", yookassa_secret_key="test_wrong",
                             yookassa_api_url=f"{sandbox.url}/yookassa/v3")  # fmt: skip
    async with till(wrong, ledger, pool, sandbox) as other:
        with pytest.raises(BadCredentialsError):
            await other.yookassa.make(payment)
    assert alarms() == {"credentials": 1}
    assert (await shop.yookassa.make(payment)).standing == "pending"


async def test_after_a_day_the_key_is_not_used_again(shop, sandbox):
    lost, never = await shop.order(), await shop.order()
    sandbox.fault("yookassa", "create", "500_after", match={"order": lost})
    sandbox.fault("yookassa", "create", "500_before", match={"order": never}, times=None)
    for payment in (lost, never):
        with pytest.raises(YooKassaNoAnswerError):
            await shop.yookassa.make(payment)
    await moved_back(shop.pool, 26)
    sandbox.ctx.faults.remove()
    assert (await shop.yookassa.make(lost)).standing == "pending"  # found in the list
    with pytest.raises(PaymentNotCreatedError):
        await shop.yookassa.make(never)
    assert (await shop.desk.view(never)).standing == "expired"
    assert len(shop.book()["payments"]) == 1


async def test_a_key_that_was_used_for_other_words_is_looked_up(shop, alarms):
    payment = await shop.order()
    await shop.yookassa.make(payment)
    await shop.pool.execute("UPDATE payment_requests SET request = replace(request, '390.00', '391.00')")
    record = await shop.yookassa._made(payment, (await shop.desk.view(payment)).ordered)
    assert record is not None and record.amount.minor == 39_000
    assert alarms() == {"key_taken": 1}


async def test_what_is_not_sold_is_not_ordered(shop, settings, ledger, pool, sandbox):
    with pytest.raises(NotForSaleError):
        await shop.order(package="credits-7")
    account = "stranger"
    with pytest.raises(Exception, match="does not exist"):
        await shop.order(account)
    receipts = settings.replace(yookassa_receipts=True)
    async with till(receipts, ledger, pool, sandbox) as strict:
        for contact in (None, "", "not an address", "123"):
            with pytest.raises(ContactNeededError):
                await strict.order(contact=contact)
    assert await pool.fetchval("SELECT count(*) FROM payment_links") == 0
    assert await pool.fetchval("SELECT count(*) FROM payment_watch") == 0


async def test_no_terms_no_order(shop):
    await shop.ledger.execute(c.OpenAccount("new", "0" * 64), key="open:new")
    with pytest.raises(TermsNotAcceptedError):
        await shop.order("new")


async def test_receipts_go_where_the_buyer_said(shop, settings, ledger, pool, sandbox):
    changed = settings.replace(yookassa_receipts=True, yookassa_tax_system=2, yookassa_vat_code=4)
    async with till(changed, ledger, pool, sandbox) as strict:
        for contact in ("buyer@example.com", "+7 (900) 123-45-67"):
            payment = await strict.order(contact=contact)
            assert (await strict.yookassa.make(payment)).standing == "pending"
    told = await pool.fetch(
        "SELECT request::json -> 'receipt' AS receipt FROM payment_requests ORDER BY request"
    )
    assert sum("79001234567" in row["receipt"] for row in told) == 1
    assert all('"vat_code":4' in row["receipt"].replace(" ", "") for row in told)


async def test_twenty_taps_while_the_payment_is_made_and_paid(shop):
    payment = await shop.order()
    views = await asyncio.gather(*(shop.yookassa.check(payment) for _ in range(20)))
    assert {view.standing for view in views} == {"pending"}
    await shop.press(payment)
    views = await asyncio.gather(*(shop.yookassa.check(payment) for _ in range(20)))
    assert {view.standing for view in views} == {"paid"}
    assert len(await shop.credits_are_money()) == 1


async def test_two_processes_make_it_at_once(shop, settings, ledger, pool, sandbox):
    payment = await shop.order()
    async with till(settings, ledger, pool, sandbox) as other:
        desks: list[YooKassaPayments] = [shop.yookassa, other.yookassa] * 5
        views = await asyncio.gather(*(desk.make(payment) for desk in desks))
    assert {view.standing for view in views} == {"pending"} and len(shop.book()["payments"]) == 1


async def test_ordering_twice_with_one_id_is_ordering_once(shop):
    buyer = await shop.buyer()
    first = await shop.order(buyer, payment="a" * 24)
    assert await shop.order(buyer, payment="a" * 24) == first
    count = await shop.pool.fetchval("SELECT count(*) FROM events WHERE type = 'PaymentOrdered'")
    assert count == 1


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        ("amount", {"amount": {"value": "1.00", "currency": "RUB"}}),
        ("currency", {"amount": {"value": "390.00", "currency": "USD"}}),
        ("shop", {"recipient": {"account_id": "999999"}}),
        ("test", {"test": False}),
    ],
)
async def test_money_that_is_not_what_was_ordered_credits_nothing(shop, alarms, problem, changes):
    buyer = await shop.buyer()
    payment = await shop.pending(buyer)
    shop.rewrite(await shop.provider_payment(payment), **changes)
    await shop.press(payment)
    for _ in range(2):
        assert (await shop.yookassa.check(payment)).standing == "flagged"
    assert (await shop.ledger.read.account(buyer)).balance == 0
    assert (await shop.ledger.read.payment(payment)).flags[0][1] == problem
    assert await shop.credits_are_money() == {}
    assert alarms() == {"flagged": 1}


async def test_another_account_in_the_metadata_credits_nobody(shop, alarms):
    payment, other = await shop.pending(), await shop.buyer()
    provider_payment = await shop.provider_payment(payment)
    (shown,) = [p for p in shop.book()["payments"] if p["id"] == provider_payment]
    shop.rewrite(provider_payment, metadata=shown["metadata"] | {"account": other})
    await shop.press(payment)
    assert (await shop.yookassa.check(payment)).standing == "flagged"
    assert (await shop.ledger.read.account(other)).balance == 0
    assert alarms() == {"flagged": 1}


async def test_what_is_paid_twice_is_credited_twice_and_told(shop, alarms):
    """The key was forgotten, and somebody made the payment anew: the money came twice."""
    buyer = await shop.buyer()
    payment = await shop.paid(buyer)
    (words,) = [
        json.loads(row["request"]) for row in await shop.pool.fetch("SELECT request FROM payment_requests")
    ]
    second = await shop.shop.create_payment(words, "another-key")
    async with shop.sandbox.http.post(second.confirmation_url, data={"action": "pay"}, allow_redirects=False):
        pass
    assert await shop.desk.settle(shop.yookassa, await shop.yookassa.payment(second.id)) == "credited"
    assert (await shop.ledger.read.account(buyer)).balance == 10
    assert len(await shop.credits_are_money()) == 2
    assert alarms() == {"paid_twice": 1}
    assert (await shop.desk.view(payment)).standing == "paid"


async def test_whoever_was_erased_meanwhile_is_credited_and_told(shop, alarms):
    buyer = await shop.buyer()
    payment = await shop.pending(buyer)
    await shop.press(payment)
    await shop.ledger.execute(
        c.ForgetAccount(buyer, "asked", "login:neurocards_operator"), key=f"forget:{buyer}"
    )
    await shop.pool.execute("DELETE FROM payment_links")
    await shop.pool.execute("DELETE FROM payment_requests")
    await shop.watching.run_once()
    assert len(await shop.credits_are_money()) == 1
    assert alarms() == {"forgotten_account": 1}
    with pytest.raises(AccountErasedError):
        await shop.order(buyer)
