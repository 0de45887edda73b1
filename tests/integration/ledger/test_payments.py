"""Facts about money meet in a real log: many at once, from several processes, and behind the rules' back."""

import asyncio

import asyncpg
import pytest
from msgspec.structs import replace

from events.payment import PaymentOrdered
from ledger.errors import AlreadyExistsError, KeyReusedError
from ledger.log.batch import NOTHING_TO_DO
from ledger.log.ledger import Ledger
from ledger.payments import commands as p
from tests.integration.ledger.conftest import rich
from tests.integration.ledger.tampering import pay

TERMS = ("five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
ORDER = p.OrderPayment("p", "a", "yookassa", *TERMS)
SETTLE = p.SettlePayment("p", "a", "yookassa", "yk-1", 39_000, "RUB", "1", False)
FOUND = p.RecordRefund("p", "a", "yookassa", "yk-1", "yr-1", 39_000)


@pytest.fixture
async def other(database_url, pool):
    """The ledger of another process."""
    async with Ledger(database_url, pool) as other:
        yield other


async def bought(ledger):
    await rich(ledger, "a", 2)
    await ledger.execute(ORDER, key=p.key_of(ORDER))


async def credits(ledger):
    return (await ledger.read.account("a")).balance


async def test_money_told_of_many_times_at_once_by_several_is_credited_once(ledger, other):
    await bought(ledger)
    hinted = replace(SETTLE, ordered=PaymentOrdered("a", "yookassa", *TERMS))
    told = [(door, fact) for fact in (SETTLE, hinted) for door in (ledger, other)] * 25
    receipts = await asyncio.gather(*[door.execute(fact, key=p.key_of(fact)) for door, fact in told])
    assert len(set(receipts)) == 1
    assert await credits(ledger) == 7
    again = await other.execute(SETTLE, key="another key")
    assert again == NOTHING_TO_DO


async def test_a_refund_told_of_by_provider_and_operator_at_once_takes_its_credits_once(ledger, other):
    await bought(ledger)
    await pay(ledger, SETTLE)
    await pay(ledger, p.IntendRefund("p", "a", "r1", "yk-1", 39_000, "login:neurocards_operator", "asked"))
    ours = replace(FOUND, refund="r1")
    told = [(ledger, FOUND), (other, ours)] * 10
    await asyncio.gather(*[pay(door, fact) for door, fact in told])
    state = await ledger.read.payment("p")
    assert (state.refunds, state.intents, state.closed) == (("yr-1",), (), ("r1",))
    assert await credits(ledger) == 2


async def test_one_key_is_one_fact(ledger):
    await bought(ledger)
    await pay(ledger, SETTLE)
    with pytest.raises(KeyReusedError):
        await pay(ledger, replace(SETTLE, amount_minor=1))


async def test_money_that_two_orders_claim_is_credited_to_the_first(ledger):
    await bought(ledger)
    await ledger.execute(replace(ORDER, payment="q"), key="order-payment:q")
    await pay(ledger, SETTLE)
    with pytest.raises(AlreadyExistsError, match="events_one_success_per_payment"):
        await ledger.execute(replace(SETTLE, payment="q"), key="another key")
    assert await credits(ledger) == 7


async def test_the_database_itself_refuses_money_twice(ledger, owner):
    await bought(ledger)
    await pay(ledger, SETTLE)
    await pay(ledger, FOUND)
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                SELECT max(position) + 1, $1, $2, $3, $4, 0, sha256('x') FROM events"""
    twice = [
        ("payment-p", 1, "PaymentOrdered", "{}", "stream_version"),
        (
            "payment-q",
            1,
            "PaymentSucceeded",
            '{"provider":"yookassa","provider_payment":"yk-1"}',
            "one_success",
        ),
        ("payment-q", 1, "PaymentRefunded", '{"provider_refund":"yr-1"}', "one_refunded_per_refund"),
    ]
    for stream, version, name, data, index in twice:
        with pytest.raises(asyncpg.UniqueViolationError, match=index):
            await owner.execute(insert, stream, version, name, data)
    other = '{"provider":"stars","provider_payment":"yk-1"}'
    await owner.execute(insert, "payment-q", 1, "PaymentSucceeded", other)
