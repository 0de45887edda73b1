"""Sales are paused while orders are on their way: none stands behind the pause, whoever had decided it."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.commands import OrderVideos
from ledger.errors import SalesPausedError
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.payments.commands import OrderPayment, SettlePayment, key_of
from ledger.system.commands import PauseSales, ResumeSales
from ledger.system.decider import SystemState
from tests.integration.ledger.conftest import order, rich

if TYPE_CHECKING:
    import asyncpg

ACCOUNTS = 32
PAUSE = PauseSales("login:neurocards_operator", "the price is wrong")
RESUME = ResumeSales("login:neurocards_operator", "the price is right")
PAYMENT = OrderPayment("p1", "a0", "yookassa", "pack", 10, 1000, "RUB", "s", True, None, "line", "ru")
MONEY = SettlePayment("p1", "a0", "yookassa", "yk-1", 1000, "RUB", "s", test=True)


async def asked(ledger: Ledger, command: OrderVideos | OrderPayment) -> Receipt | SalesPausedError:
    key = key_of(command) if isinstance(command, OrderPayment) else f"order:{command.order}"
    try:
        return await ledger.execute(command, key=key)
    except SalesPausedError as refused:
        return refused


async def test_no_order_stands_behind_a_pause_that_came_while_it_was_decided(
    ledger: Ledger, database_url: str, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    """Two processes order as fast as they can, on states they have cached; a third pauses and resumes."""
    accounts = [f"a{number}" for number in range(ACCOUNTS)]
    for account in accounts:
        await rich(ledger, account)
    stop = asyncio.Event()

    async def sell(seller: Ledger, account: str, name: str) -> list[Receipt | SalesPausedError]:
        answers: list[Receipt | SalesPausedError] = []
        while not stop.is_set():
            answers.append(await asked(seller, order(account, f"{account}-{name}-{len(answers)}")))
        return answers

    async with Ledger(database_url, pool) as second, Ledger(database_url, pool) as owner:
        work = [
            asyncio.create_task(sell(seller, account, name))
            for seller, name in ((ledger, "x"), (second, "y"))
            for account in accounts
        ]
        pauses = []
        for number in range(8):
            paused = await owner.execute(PAUSE, key=f"pause:{number}")
            await asked(second, order("a0", f"probe-{number}"))
            resumed = await owner.execute(RESUME, key=f"resume:{number}")
            pauses.append((paused.position, resumed.position))
        stop.set()
        answers = [answer for sold in await asyncio.gather(*work) for answer in sold]
    charges = "SELECT position FROM events WHERE type = 'CreditsCharged'"
    charged = [row["position"] for row in await pool.fetch(charges)]
    assert not [at for at in charged for since, until in pauses if since < at < until]
    assert any(isinstance(answer, SalesPausedError) for answer in answers)
    taken = [answer for answer in answers if isinstance(answer, Receipt)]
    assert len(taken) == len(charged) and any(at > pauses[-1][1] or at < pauses[0][0] for at in charged)


async def test_what_stood_before_a_pause_is_answered_and_what_was_begun_is_taken(ledger: Ledger) -> None:
    await rich(ledger, "a0")
    placed, begun = await asked(ledger, order("a0", "o1")), await asked(ledger, PAYMENT)
    await ledger.execute(PAUSE, key="pause")
    assert await asked(ledger, order("a0", "o1")) == placed and await asked(ledger, PAYMENT) == begun
    another = OrderPayment("p2", "a0", "stars", "pack", 10, 100, "XTR", "", False, None, "line", "ru")
    for refused in (order("a0", "o2"), another):
        with pytest.raises(SalesPausedError, match="an operator has paused"):
            await ledger.execute(refused, key="later")
    came = await ledger.execute(MONEY, key=key_of(MONEY))
    assert came.events == 2 and (await ledger.read.account("a0")).bought
    await ledger.execute(RESUME, key="resume")
    assert (await ledger.read.sales()) == SystemState()
    assert isinstance(await ledger.execute(order("a0", "o2"), key="later"), Receipt), "the key stayed free"
