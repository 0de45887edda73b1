"""What a change of a promo code would do, found out by the ledger's own rules; doing it; all codes."""

from typing import TYPE_CHECKING, Any

import msgspec

from events.promo import PromoCreated
from events.stream_names import promo_stream
from ledger.decider import decide
from ledger.log.batch import Receipt
from ledger.log.ledger import LogReader
from ledger.promotions.commands import CreatePromo, DisablePromo, key_of
from ledger.sql import load_queries
from services.cli.connections import open_ledger
from services.platform.database import create_pool
from services.platform.settings import Settings

if TYPE_CHECKING:
    from ledger.postgres import Pool

query = load_queries("ledger.log")
shared_query = load_queries("services.cli.commands.promo")

_decode = msgspec.json.Decoder(PromoCreated).decode


async def plan(settings: Settings, command: CreatePromo | DisablePromo) -> bool:
    """Whether it would change anything. Raises whatever the ledger would refuse with."""
    async with await create_pool(settings, "operator", max_size=1) as pool:
        now_us = await pool.fetchval(query("clock"))
        state = await LogReader(pool).promo(command.code)
    return bool(decide({promo_stream(command.code): state}, command, now_us))


async def apply(settings: Settings, command: CreatePromo | DisablePromo) -> Receipt:
    """Do it, once however often it is asked for."""
    async with open_ledger(settings) as (ledger, _):
        return await ledger.execute(command, key=key_of(command))


async def codes(pool: "Pool") -> list[dict[str, Any]]:
    """All codes, the newest first. Times in epoch microseconds."""
    found = []
    for row in await pool.fetch(shared_query("promo_codes")):
        created = _decode(row["data"])
        found.append(
            {
                "code": created.code,
                "credits": created.amount,
                "used": row["used"],
                "uses_max": created.uses_max,
                "disabled": row["disabled"],
                "expires_at": created.expires_at_us,
                "created_at": row["recorded_at_us"],
                "reason": created.reason,
                "actor": created.actor,
            }
        )
    return found
