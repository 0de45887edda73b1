"""Gifts in a real log: many at once, from two processes, and behind the rules' back."""

import asyncio
from collections import Counter

import asyncpg
import pytest

from ledger import commands as c
from ledger.errors import KeyReusedError, PromoExhaustedError, RejectedError
from ledger.log.batch import NOTHING_TO_DO, Receipt
from ledger.log.ledger import Ledger
from ledger.promotions import commands as g
from projections.verify.findings import Findings
from projections.verify.invariants.promotions import check
from tests.integration.ledger.conftest import buy


@pytest.fixture
async def other(database_url, pool):
    """The ledger of another process."""
    async with Ledger(database_url, pool) as other:
        yield other


async def give(ledger, command):
    return await ledger.execute(command, key=g.key_of(command))


async def members(ledger, *accounts):
    for account in accounts:
        await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
        await ledger.execute(c.AcceptTerms(account, "1", 0), key=f"terms:{account}")


async def findings(pool):
    found = Findings()
    async with pool.acquire() as connection:
        await check(connection, 0, found)
    return [problem.message for problem in found.problems]


async def test_of_a_hundred_at_once_as_many_as_the_code_has_uses_get_it(ledger, other, pool):
    accounts = [f"a{n}" for n in range(100)]
    await members(ledger, *accounts)
    await give(ledger, g.CreatePromo("TEN", 3, 10, None, None, "login:neurocards_operator", "sale"))
    doors = [(ledger, other)[n % 2] for n in range(100)]
    tries = [give(door, g.RedeemPromo("TEN", account)) for door, account in zip(doors, accounts, strict=True)]
    answers = await asyncio.gather(*tries, return_exceptions=True)
    assert Counter(map(type, answers)) == {Receipt: 10, PromoExhaustedError: 90}
    balances = [(await ledger.read.account(account)).balance for account in accounts]
    assert Counter(balances) == {3: 10, 0: 90}
    assert (await ledger.read.promo("TEN")).used == 10
    assert await findings(pool) == []


async def test_one_person_from_two_processes_gets_it_once(ledger, other):
    await members(ledger, "a")
    await give(ledger, g.CreatePromo("ONCE", 3, 10, None, None, "login:neurocards_operator", "sale"))
    redeem = g.RedeemPromo("ONCE", "a")
    same = await asyncio.gather(*[give(door, redeem) for door in (ledger, other) * 20])
    assert len(set(same)) == 1
    strange = [door.execute(redeem, key=f"{n}") for n in range(10) for door in (ledger, other)]
    assert all(
        isinstance(answer, RejectedError) for answer in await asyncio.gather(*strange, return_exceptions=True)
    )
    assert (await ledger.read.account("a")).balance == 3


async def test_disabling_ends_it_for_all_who_come_later(ledger, other):
    await members(ledger, *"abcdefgh")
    await give(ledger, g.CreatePromo("SHORT", 3, 10, None, None, "login:neurocards_operator", "sale"))
    tries = [give((ledger, other)[n % 2], g.RedeemPromo("SHORT", a)) for n, a in enumerate("abcdefgh")]
    disable = give(other, g.DisablePromo("SHORT", "login:neurocards_operator", "leaked"))
    *answers, last = await asyncio.gather(*tries, disable, return_exceptions=True)
    assert isinstance(last, Receipt)
    used = [answer for answer in answers if isinstance(answer, Receipt)]
    assert all(receipt.position < last.position for receipt in used)
    assert (await ledger.read.promo("SHORT")).used == len(used)


async def test_an_invitation_is_rewarded_once_whoever_asks_with_whatever_bonus(ledger, other, pool):
    await members(ledger, "a")
    await ledger.execute(c.OpenAccount("f", "0" * 64, "referral", "a"), key="open:f")
    await buy(ledger, "f", 5, "p")
    asked = [
        give(door, g.RewardInvitation("f", "a", credits, 2))
        for door in (ledger, other) * 10
        for credits in (1, 2)
    ]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert set(map(type, answers)) == {Receipt, KeyReusedError}
    again = await other.execute(g.RewardInvitation("f", "a", 1, 2), key="another key")
    assert again == NOTHING_TO_DO
    assert (await ledger.read.account("a")).balance == 2
    assert (await ledger.read.account("f")).balance in (6, 7)
    assert await findings(pool) == []


async def test_the_database_itself_refuses_gifts_twice(ledger, owner):
    await members(ledger, "a")
    await give(ledger, g.CreatePromo("ONCE", 3, 10, None, None, "login:neurocards_operator", "sale"))
    await give(ledger, g.RedeemPromo("ONCE", "a"))
    await ledger.execute(c.OpenAccount("f", "0" * 64, "referral", "a"), key="open:f")
    await buy(ledger, "f", 5, "p")
    await give(ledger, g.RewardInvitation("f", "a", 0, 1))
    insert = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
                SELECT max(position) + 1, $1, 9, $2, $3, 0, sha256('x') FROM events"""
    for stream, name, data, index in (
        ("promo-ONCE", "PromoRedeemed", '{"account":"a"}', "one_use_per_account"),
        ("account-f", "InvitationRewarded", "{}", "one_reward_per_invited"),
    ):
        with pytest.raises(asyncpg.UniqueViolationError, match=index):
            await owner.execute(insert, stream, name, data)
