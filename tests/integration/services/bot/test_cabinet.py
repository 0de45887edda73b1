"""What the cabinet says of credits that end."""

from datetime import UTC, datetime

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.promotions import commands as g
from ledger.sql import load_queries
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.integration.services.bot.people import BotWorld, Visitor

query = load_queries("ledger.log")

YEAR_S = 366 * 24 * 3600


async def test_the_cabinet_shows_what_ends_when_and_what_has_ended(visitor: Visitor, world: BotWorld) -> None:
    await visitor.enter()
    settings = load_settings(database_url=world.database_url)
    async with await create_pool(settings, "test") as pool, Ledger(world.database_url, pool) as ledger:
        account = await pool.fetchval(
            "SELECT account FROM accounts WHERE telegram_id = $1", visitor.chat.user_id
        )
        now_us = await pool.fetchval(query("clock"))
        await ledger.execute(
            g.CreatePromo("YEAR-3", 3, 1, None, YEAR_S, "login:neurocards_operator", "sale"), key="code"
        )
        await ledger.execute(g.RedeemPromo("YEAR-3", account), key="use of it")
        lots = (await ledger.read.account(account)).lots
        (ends_at_us,) = [lot.expires_at_us for lot in lots if lot.expires_at_us is not None]
        grant = c.GrantCredits(account, 4, "manual", "x", None, now_us + 200_000)
        await ledger.execute(grant, key=f"grant:{account}")
        await pool.execute("SELECT pg_sleep(0.25)")  # the end of a life is a time by nature
        await ledger.execute(c.ExpireCredits(account), key=f"expire:{account}")
    await visitor.say("/cabinet")
    words = await visitor.hears("My account")
    ends = datetime.fromtimestamp(ends_at_us / 1_000_000, UTC)
    assert "Balance: 5 credits" in words
    assert f"3 credits of them until {ends.day} {ends:%b}" in words
    assert "−4 · not used in time" in words and "+3 · promo code" in words
