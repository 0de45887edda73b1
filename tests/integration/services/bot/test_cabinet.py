"""What the cabinet says of credits that end."""

from datetime import UTC, datetime

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.integration.services.bot.people import BotWorld, Visitor

query = load_queries("ledger.log")

YEAR_US = 366 * 24 * 3600 * 1_000_000


async def test_the_cabinet_shows_what_ends_when_and_what_has_ended(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        account = await pool.fetchval(
            "SELECT account FROM accounts WHERE telegram_id = $1", visitor.chat.user_id
        )
        now_us = await pool.fetchval(query("clock"))
        for name, amount, ends_at_us in (("a", 3, now_us + YEAR_US), ("b", 4, now_us + 200_000)):
            grant = c.GrantCredits(account, amount, "promo", "x", None, ends_at_us)
            await ledger.execute(grant, key=f"grant:{account}:{name}")
        await pool.execute("SELECT pg_sleep(0.25)")  # the end of a life is a time by nature
        await ledger.execute(c.ExpireCredits(account), key=f"expire:{account}")
    await visitor.say("/cabinet")
    words = await visitor.hears("My account")
    ends = datetime.fromtimestamp((now_us + YEAR_US) / 1_000_000, UTC)
    assert "Balance: 5 credits" in words
    assert f"3 credits of them until {ends.day} {ends:%b}" in words
    assert "−4 · not used in time" in words and "+3 · promo code" in words
