"""Dead letters and their groups, as the read model has them."""

from typing import TYPE_CHECKING, Any

import msgspec

from ledger.sql import load_queries

if TYPE_CHECKING:
    from ledger.postgres import Pool


query = load_queries("services.operations")


class DeadLetters(msgspec.Struct, frozen=True):
    """Filter of dead letters; None: any. `group`: short id of a class and code."""

    classes: list[str]
    model: str | None
    since_us: int | None
    group: str | None
    limit: int


async def find_dead_letters(pool: "Pool", wanted: DeadLetters) -> list[dict[str, Any]]:
    """Rows of job_status, the newest first."""
    rows = await pool.fetch(query("find_dead_letters"), *msgspec.structs.astuple(wanted))
    return [dict(row) for row in rows]


async def dead_letter_groups(pool: "Pool", wanted: DeadLetters) -> list[dict[str, Any]]:
    """Dead letters by class and code, the largest groups first; without a limit."""
    rows = await pool.fetch(query("dead_letter_groups"), wanted.classes, wanted.model, wanted.since_us)
    return [dict(row) for row in rows]
