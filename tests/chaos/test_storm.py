"""Many sellers at once while processes die at random: afterwards every credit is accounted for."""

import asyncio
import random

import pytest

from services.rehearsal.seller import Seller
from tests.support.kills import ALLOWED_WITHOUT_PROVIDER, VICTIMS, strike
from tests.support.playing import Play

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SELLERS = 12
STRIKES = 10
PAUSE_S = 2.0


async def test_a_storm(play: Play, dice: random.Random) -> None:
    sellers = [play.seller() for _ in range(SELLERS)]
    orders, _ = await asyncio.gather(
        asyncio.gather(*(come_later(play, seller, dice.uniform(0, 10)) for seller in sellers)),
        storm(play, dice),
    )
    for seller, order in zip(sellers, orders, strict=True):
        await play.settled(seller, order, doubles=True)
        assert set(await play.error_classes(seller)) <= ALLOWED_WITHOUT_PROVIDER
    await play.everything_holds()


async def come_later(play: Play, seller: Seller, after_s: float) -> str:
    await asyncio.sleep(after_s)
    return await play.order(seller)


async def storm(play: Play, dice: random.Random) -> None:
    for _ in range(STRIKES):
        await asyncio.sleep(dice.uniform(0, PAUSE_S))
        await strike(play, dice.choice(VICTIMS))
