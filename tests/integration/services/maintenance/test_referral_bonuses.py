"""Both sides of an invitation get their bonus once, whoever sweeps, whenever, killed at whatever moment."""

import asyncio

import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.maintenance.referral_bonuses import ReferralBonuses
from services.platform.settings import load_settings
from tests.integration.ledger.conftest import order
from tests.integration.ledger.tampering import VIDEO, project
from tests.integration.services.maintenance.conftest import count
from tests.integration.services.purchases import buy


async def invited(ledger: Ledger, *friends: str) -> None:
    await ledger.execute(c.OpenAccount("host", "0" * 64), key="open:host")
    for friend in friends:
        await ledger.execute(c.OpenAccount(friend, "0" * 64, "referral", "host"), key=f"open:{friend}")


async def balance(ledger: Ledger, account: str) -> int:
    return (await ledger.read.account(account)).balance


@pytest.fixture
def sweep(database_url, ledger, pool):
    def make(ledger: Ledger = ledger, **settings: object) -> ReferralBonuses:
        loaded = load_settings(database_url=database_url, **settings)
        return ReferralBonuses(loaded, ledger, pool, page=2)

    return make


async def test_friends_who_bought_are_rewarded_once_by_two_monitors(ledger, pool, database_url, sweep):
    friends = [f"f{n}" for n in range(7)]
    await invited(ledger, *friends, "idle")
    for friend in friends:
        await buy(ledger, friend, 5)
    async with Ledger(database_url, pool) as other:
        sweeps = [sweep(), sweep(other, referral_credits=9)]  # the other one was configured otherwise
        rewarded = await asyncio.gather(*[one.run_once() for one in sweeps * 3])
    assert await count(pool, "InvitationRewarded") == 7
    assert sum(rewarded) >= 7
    assert [await balance(ledger, friend) for friend in friends] == [7] * 7
    assert await balance(ledger, "idle") == 0
    assert await balance(ledger, "host") in range(7 * 2, 7 * 9 + 1)
    assert await sweep().run_once() == 0


async def test_a_monitor_that_is_killed_in_between_loses_nothing_and_doubles_nothing(ledger, pool, sweep):
    friends = [f"f{n}" for n in range(20)]
    await invited(ledger, *friends)
    for friend in friends:
        await buy(ledger, friend, 5)
    for least in (1, 5, 9):
        killed = asyncio.ensure_future(sweep().run_once())
        while await count(pool, "InvitationRewarded") < least:
            assert not killed.done()
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    await sweep().run_once()
    assert await count(pool, "InvitationRewarded") == 20
    assert await balance(ledger, "host") == 40


async def test_who_was_erased_is_left_alone(ledger, pool, sweep):
    await invited(ledger, "f", "g")
    await buy(ledger, "f", 5)
    await buy(ledger, "g", 5)
    await ledger.execute(c.ForgetAccount("f", "asked", "login:neurocards_operator"), key="forget:f")
    assert await sweep().run_once() == 1
    await ledger.execute(c.ForgetAccount("host", "asked", "login:neurocards_operator"), key="forget:host")
    assert await sweep().run_once() == 0
    assert await balance(ledger, "f") == 5


async def test_nothing_is_given_while_both_bonuses_are_none(ledger, pool, sweep):
    await invited(ledger, "f")
    await buy(ledger, "f", 5)
    assert await sweep(referral_credits=0, referred_credits=0).run_once() == 0
    assert await sweep(referral_credits=0).run_once() == 1
    assert (await balance(ledger, "f"), await balance(ledger, "host")) == (7, 0)


async def test_the_first_video_counts_where_that_is_the_setting(ledger, pool, sweep):
    await invited(ledger, "f", "g")
    await ledger.execute(c.AcceptTerms("f", "1", 5), key="terms:f")
    await ledger.execute(order("f", "o", "j"), key="order:o")
    await ledger.execute(c.StartJob("j", 1, "w"), key="start:j")
    await ledger.execute(c.RecordPrompt("j", 1, "prompt", "openai", "ugc"), key="prompt:j")
    await ledger.execute(c.IntendSubmission("j", 1, 1, "key-1", "m"), key="intend:j")
    await ledger.execute(c.RecordAccepted("j", 1, "task-j"), key="accept:j")
    await ledger.execute(c.SucceedJob("j", 1, 1, VIDEO), key="succeed:j")
    await project(pool)
    assert await sweep().run_once() == 0
    assert await sweep(referral_after="video").run_once() == 1
    assert (await balance(ledger, "f"), await balance(ledger, "host")) == (6, 2)
