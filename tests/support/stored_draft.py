"""Drafts as the bot leaves them in the database, at any point of their way."""

import msgspec

from ledger.postgres import Pool
from services.accounts.drafts import Draft

_COLUMNS = tuple(name for name in Draft.__struct_fields__ if name not in ("words", "offered"))


async def store_draft(pool: Pool, draft: Draft) -> Draft:
    """Store a draft with its words just as it is; one that is ordered keeps its photo."""
    values = [getattr(draft, name) for name in _COLUMNS]
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO texts (ref, account, body) VALUES ($1, $2, $3::text::json) ON CONFLICT DO NOTHING",
            draft.brief,
            draft.account,
            msgspec.json.encode(draft.words).decode(),
        )
        sql = f"INSERT INTO drafts ({', '.join(_COLUMNS)}) VALUES ({places}) ON CONFLICT DO NOTHING"
        await connection.execute(sql, *values)
    return draft
