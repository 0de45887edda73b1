"""Promo codes and invitations in the chat."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.log.ledger import Ledger
from ledger.promotions import commands as g
from ledger.system.decider import day_of
from projections.verify.run import check_ledger
from services.accounts.erase import Forgetting
from services.accounts.personal_data import PersonalData, forgotten_names
from services.adapters.telegram.callback_data import Cabinet
from services.bot.context import BotContext, Person
from services.bot.handlers.terms import accept_terms
from services.bot.order_history import History
from services.platform.blobs import FolderBlobs
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.integration.services.bot.people import TERMS, BotWorld, Visitor


@asynccontextmanager
async def ledger_of(world: BotWorld) -> AsyncIterator[Ledger]:
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        yield ledger


async def account_of(visitor: Visitor) -> str:
    sql = "SELECT account FROM accounts WHERE telegram_id = $1"
    (row,) = await visitor.world.rows(sql, visitor.chat.user_id)
    return str(row["account"])


async def state_of(visitor: Visitor) -> AccountState:
    async with ledger_of(visitor.world) as ledger:
        return await ledger.read.account(await account_of(visitor))


async def make(world: BotWorld, code: str, uses: int) -> None:
    command = g.CreatePromo(code, 3, uses, None, None, "login:neurocards_operator", "sale")
    async with ledger_of(world) as ledger:
        await ledger.execute(command, key=g.key_of(command))


async def test_a_code_gives_its_credits_once(visitor: Visitor, other_visitor: Visitor, world: BotWorld):
    await make(world, "SPRING-25", 1)
    await visitor.enter()
    await visitor.say("/promo")
    await visitor.hears("write the promo code")
    await visitor.say("spring-25")
    assert "+3 credits" in await visitor.hears("The code works") and "5 credits" in visitor.words
    await visitor.say("/promo SPRING-25")
    await visitor.hears("already")
    await visitor.say("/cabinet")
    await visitor.hears("3 credits: promo code, no end")
    await other_visitor.enter()
    await other_visitor.say("/promo SPRING-25")
    await other_visitor.hears("разобрали")
    assert (await state_of(visitor)).balance == 5


async def test_nobody_guesses_codes_for_long(visitor: Visitor, world: BotWorld):
    await make(world, "HIDDEN", 1)
    await visitor.enter()
    for number in range(10):
        await visitor.say(f"/promo {'GUESS' if number % 2 else 'ПРИВЕТ'}{number}")
        await visitor.hears("no such code")
    await visitor.say("/promo HIDDEN")
    await visitor.hears("Too many")
    assert (await state_of(visitor)).balance == 2
    await world.rows("UPDATE wrong_codes SET tried_at = tried_at - interval '1 hour'")
    await visitor.say("/promo HIDDEN")
    await visitor.hears("The code works")


async def link_of(visitor: Visitor) -> str:
    await visitor.say("/cabinet")
    await visitor.press(Cabinet(section="invite").pack())
    found = re.search(
        r"https://t\.me/neurocards_bot\?start=(ref_[0-9a-v]{8})",
        await visitor.hears("Your link|Ваша ссылка"),
    )
    assert found is not None
    return found[1]


async def test_a_friend_comes_by_the_link_and_is_invited_for_good(
    visitor: Visitor, other_visitor: Visitor, world: BotWorld
):
    await visitor.enter()
    link = await link_of(visitor)
    assert str(visitor.chat.user_id) not in link
    await other_visitor.say(f"/start {link}")
    await other_visitor.press(TERMS)
    await other_visitor.hears("Добро пожаловать")
    friend = await state_of(other_visitor)
    assert (friend.invited_by, friend.balance) == (await account_of(visitor), 2)
    assert await link_of(visitor) == link

    theirs = await link_of(other_visitor)
    await visitor.say(f"/start {theirs}")  # in a circle
    await visitor.hears("Menu")
    await visitor.say(f"/start {link}")  # oneself
    await visitor.hears("Menu")
    assert (await state_of(visitor)).invited_by == ""


async def test_links_that_lead_to_nobody_and_people_who_come_back_are_not_invited(
    visitor: Visitor, other_visitor: Visitor, world: BotWorld
):
    await visitor.say("/start ref_01234567")
    await visitor.press(TERMS)
    await visitor.hears("Welcome")
    assert (await state_of(visitor)).invited_by == ""
    link = await link_of(visitor)
    (name,) = forgotten_names(load_settings(database_url=world.database_url), other_visitor.chat.user_id)
    await world.rows("INSERT INTO forgotten (person) VALUES ($1)", name)
    await other_visitor.say(f"/start {link}")
    await other_visitor.press(TERMS)
    await other_visitor.hears("Добро пожаловать")
    back = await state_of(other_visitor)
    assert (back.invited_by, back.balance) == ("", 0)


async def test_who_is_erased_and_comes_back_uses_no_code_again_and_owes_what_they_owed(
    visitor: Visitor, world: BotWorld, tmp_path: Path
):
    await make(world, "RETURN-3", 9)
    await visitor.enter()
    await visitor.say("/promo RETURN-3")
    await visitor.hears("The code works")
    for number in range(2):  # and erased once more, before the debt is paid
        account = await account_of(visitor)
        async with ledger_of(world) as ledger:
            if not number:
                await ledger.execute(c.RevokeCredits(account, 7, "money back", kind="manual"), key="back")
            settings = load_settings(database_url=world.database_url)
            forgetting = Forgetting(settings, ledger.read.pool, ledger, FolderBlobs(tmp_path))
            await forgetting.forget(account, actor="login:neurocards_operator", reason="asked")
        await visitor.say("/start")
        await visitor.press(TERMS)
        await visitor.hears("Welcome")
        await visitor.say("/promo RETURN-3")
        await visitor.hears("already")
        state = await state_of(visitor)
        assert (state.balance, state.debt, state.promos) == (-2, 2, ())
    await visitor.say("/cabinet")
    await visitor.press(Cabinet(section="operations").pack())
    await visitor.hears("2 credits · owed from before")
    async with ledger_of(world) as ledger:
        assert await check_ledger(ledger.read.pool) == []


async def test_a_day_gives_so_many_welcomes_and_no_more_whoever_comes_at_once(
    database_url: str, pool: Any
) -> None:
    """Fresh accounts that farm the gift: twelve in one moment, of which three get it; a cap, once told."""
    settings = load_settings(database_url=database_url, welcome_cap_per_day=5)
    async with Ledger(database_url, pool) as ledger:
        nothing = cast(Any, None)
        shop = BotContext(
            settings, PersonalData(pool), nothing, ledger, nothing, History(pool, ledger.read), nothing,
            nothing, nothing, nothing, nothing,
        )  # fmt: skip
        people = [Person(f"farm{n}", "en", 9_000_000 + n, False, "0" * 64) for n in range(12)]
        given = await asyncio.gather(*[accept_terms(shop, person) for person in people])
        balances = [(await ledger.read.account(person.account)).balance for person in people]
        assert balances == [2 if gift else 0 for gift in given] and sum(balances) == 6
        assert [await accept_terms(shop, person) for person in people] == given, "asked again: as it was"
        day = day_of(ledger.now_us())
        assert (await ledger.read.sales()).welcome_day == day
        told = await pool.fetch("SELECT data::text FROM events WHERE type = 'DayCapChecked'")
        assert [json.loads(row[0]) for row in told] == [
            {"cap": "welcome", "day": day, "limit": 5, "total": 6}
        ]
        shop = replace(shop, settings=load_settings(database_url=database_url))
        assert await accept_terms(shop, Person("farmlate", "en", 9_000_101, False, "0" * 64))
        assert (await ledger.read.sales()).welcome_day != day, "no cap any more"
        shop = replace(shop, settings=settings)
        back = Person("farmback", "en", 9_000_100, False, "0" * 64)
        (name,) = forgotten_names(settings, back.chat_id)
        await pool.execute("INSERT INTO forgotten (person) VALUES ($1)", name)
        assert await accept_terms(shop, back), "who was erased is due none, and is told of no cap"
