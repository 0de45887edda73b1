"""Both sides of an invitation hear of their bonus, once."""

import asyncpg

from ledger.log.ledger import Ledger
from ledger.promotions.commands import RewardInvitation, key_of
from tests.integration.ledger.test_forged import grant
from tests.integration.services.notifier.conftest import Notifier
from tests.support.hand_made import append
from tests.support.order_fixture import OrderFixture
from tests.support.telegram import ScriptedTelegram


async def test_each_side_hears_of_its_bonus_once_in_its_language(
    studio: OrderFixture, ledger: Ledger, notifier: Notifier, telegram: ScriptedTelegram
) -> None:
    host = await studio.seller(credits=1, locale="ru")
    friend = await studio.seller(credits=4, locale="en", invited_by=host.account)
    job = (await studio.order(friend)).jobs[0]
    await studio.finish(job, b"the film")
    reward = RewardInvitation(friend.account, host.account, 2, 5, job)
    await ledger.execute(reward, key=key_of(reward))
    await notifier.run()
    await notifier.run()
    _, invited = telegram.sent(friend.chat_id)
    assert "2 bonus credits" in invited.text and "Your balance: 5 credits." in invited.text
    (thanked,) = telegram.sent(host.chat_id)
    assert "5 бонусных кредитов" in thanked.text and "спасибо за приглашение" in thanked.text
    assert "6" in thanked.text


async def test_other_grants_are_told_by_whoever_makes_them(
    studio: OrderFixture, notifier: Notifier, telegram: ScriptedTelegram
) -> None:
    seller = await studio.seller()
    await notifier.run()
    assert telegram.sent(seller.chat_id) == []


async def test_a_grant_that_nobody_can_decode_keeps_no_message_from_others(
    studio: OrderFixture, ledger: Ledger, notifier: Notifier, telegram: ScriptedTelegram, database_url: str
) -> None:
    bad, good = await studio.seller(), await studio.seller()
    connection = await asyncpg.connect(database_url)
    for account, reason in ((bad.account, 7), (good.account, "sorry")):
        await append(connection, [grant(account=account, reason=reason)])
    await connection.close()
    await notifier.run()
    await notifier.run()
    assert notifier.follower._position == (await ledger.read.head()).position
    (told,) = telegram.sent(good.chat_id)
    assert "5" in told.text
