"""A running bot and models that an operator takes away: it obeys within seconds."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.adapters.telegram.callback_data import Order
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.prompts.styles import style_of
from tests.integration.services.bot.people import CREATE, Books, BotWorld, Visitor
from tests.support.waiting import eventually

CATALOGUE = load_catalogue()
MODELS = [model.slug for model in style_of("ugc").makers(CATALOGUE)]
ALL = [
    *{m.slug: m for slug in MODELS for m in CATALOGUE.candidates(CATALOGUE.model(slug) or CATALOGUE.default)}
]


@pytest.fixture
async def book(world: BotWorld) -> AsyncIterator[CircuitBook]:
    """An operator's; every model is available again afterwards."""
    async with asyncpg.create_pool(world.database_url, min_size=1, max_size=2) as pool:
        book = CircuitBook(pool)
        yield book
        for model in ALL:
            await book.resume(model, "ann", "the test is over")


async def test_orders_go_to_the_alternative_and_back(
    visitor: Visitor, world: BotWorld, book: CircuitBook
) -> None:
    await visitor.enter()
    await book.pause(MODELS[0], "ann", "ugly videos")

    async def model_of_next_order() -> str:
        draft = Order.unpack((await visitor.to_confirm()).data).draft
        (row,) = await world.rows("SELECT model FROM drafts WHERE draft = $1", draft)
        await visitor.say("/cancel")
        await visitor.sees(CREATE)
        return str(row["model"])

    async def orders_from(model: str) -> bool:
        return await model_of_next_order() == model

    await eventually(lambda: orders_from(MODELS[1]), 60, what="the pause is obeyed")
    confirm = await visitor.to_confirm()
    assert await visitor.tap(confirm) == "✅ Accepted: 1 video, 1 credit charged."
    assert await visitor.books() == Books(1, 1, 1)
    await book.resume(MODELS[0], "ann", "mended")
    await eventually(lambda: orders_from(MODELS[0]), 60, what="the resume is obeyed")


async def test_with_every_model_paused_nothing_is_charged(visitor: Visitor, book: CircuitBook) -> None:
    await visitor.enter()
    confirm = await visitor.to_confirm(3)
    for model in ALL:
        await book.pause(model, "ann", "the provider is away")

    async def refuses() -> bool:
        return await visitor.tap(confirm) == "Temporarily unavailable."

    async def takes_orders() -> bool:
        await visitor.say("/create")
        return "temporarily unavailable" not in await visitor.hears("unavailable|Send a photo")

    await eventually(refuses, 60, what="the pause is obeyed")
    await visitor.say("/cancel")
    await visitor.hears("cancelled")
    assert not await takes_orders()
    assert await visitor.books() == Books(2, 0, 0)
    for model in ALL:
        await book.resume(model, "ann", "the provider is back")
    await eventually(takes_orders, 60, what="the resume is obeyed")
