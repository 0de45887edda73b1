"""Which model an order is made with, and when none is made: nothing is charged that cannot be in time."""

import pytest
from msgspec.structs import replace

from services.adapters.telegram.callback_data import Menu, MenuAction
from services.generation.circuit_breaker.rules import Circuit
from services.generation.circuit_breaker.store import Circuits
from services.generation.prompts.styles import style_of
from services.generation.wait_estimate import Render, Waiting
from tests.support.bot_session import memory_shop
from tests.unit.services.bot.handlers.test_all import CREATE, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk(memory_shop())


class Says(Circuits):
    """Circuits that say what the test wants."""

    def __init__(self, **states: Circuit) -> None:
        super().__init__()
        self.states = states

    def of(self, model: str) -> Circuit:
        return self.states.get(model) or Circuit(model)

    def now_us(self) -> int:
        return 1_000_000


async def test_while_the_default_model_rests_orders_are_made_with_its_alternative(desk: Desk) -> None:
    await desk.accepted()
    first, second = style_of("ugc").makers(desk.shop.catalogue)[:2]
    resting = Circuit(first.slug, "paused", since_us=1, until_us=2_000_000)
    desk.shop.__dict__["circuits"] = Says(**{first.slug: resting})
    assert desk.shop.model == second
    await desk.drafted()
    await desk.tap(CREATE)
    assert [(order.model, order.price) for order in desk.orders] == [(second.slug, 1)]
    rested = replace(resting, until_us=1_000_000)
    desk.shop.__dict__["circuits"] = Says(**{first.slug: rested})
    assert desk.shop.model == first, "only orders can tell whether it is well again"


async def test_an_order_goes_through_when_an_alternative_can_take_it(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    models = desk.shop.catalogue.candidates(desk.shop.model)
    held = {model.slug: Circuit(model.slug, "paused", "operator", since_us=1) for model in models}
    desk.shop.__dict__["circuits"] = Says(**held)
    assert await desk.tap(CREATE) == "Temporarily unavailable."
    assert desk.orders == []
    assert "temporarily unavailable" in desk.captions[-1]
    held.pop(models[-1].slug)
    desk.shop.__dict__["circuits"] = Says(**held)
    assert "1 credit charged" in await desk.tap(CREATE)


async def test_nobody_is_charged_to_find_out_whether_a_model_is_back(desk: Desk) -> None:
    """Every rest is over, and no model has been tried yet."""
    await desk.accepted()
    await desk.drafted()
    models = desk.shop.catalogue.candidates(desk.shop.model)
    rested = {m.slug: Circuit(m.slug, "failing", since_us=1, until_us=1_000_000) for m in models}
    desk.shop.__dict__["circuits"] = Says(**rested)
    assert await desk.tap(CREATE) == "Temporarily unavailable."
    await desk.say("/cancel")
    await desk.tap(Menu(action=MenuAction.CREATE).pack())
    assert "temporarily unavailable" in desk.said[-1] and desk.orders == []


async def test_an_order_that_would_not_be_in_time_is_not_charged(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    outlook = desk.shop.outlook
    outlook._queue["someone"] = Waiting(1, 1, unstarted_s=1000)
    assert await desk.tap(CREATE) == "Very many orders right now."
    text = desk.captions[-1]
    assert "Nothing was charged" in text and "in about 7 min" in text
    assert desk.orders == []
    outlook._queue.clear()
    assert "1 credit charged" in await desk.tap(CREATE), "the same button works later"


async def test_the_wait_that_is_told_is_the_estimate(desk: Desk) -> None:
    await desk.accepted()
    await desk.drafted()
    desk.shop.outlook.times._measured[desk.shop.model.slug] = Render(60, 90)
    desk.shop.outlook._queue["someone"] = Waiting(1, 1, unstarted_s=120)
    await desk.tap(CREATE)
    assert "about 3 min" in desk.captions[-1]
