"""Drafts as the bot leaves them in the database, at any point of their way."""

from msgspec.structs import replace

from ledger.postgres import Pool
from services.accounts.drafts import Draft, Drafts


async def store_draft(pool: Pool, draft: Draft) -> Draft:
    """Store a draft: with its card, its jobs and its mark, as far as it has them."""
    drafts = Drafts(pool)
    made = await drafts.make(draft) or await drafts.find(draft.draft)
    assert made is not None
    if draft.message_id is not None:
        await drafts.sent(made, draft.message_id, draft.photo_file)
    if draft.jobs:
        await drafts.confirm(made, draft.jobs, draft.changed_by)
    if draft.ordered:
        await drafts.mark_ordered(draft.draft)
    return replace(draft, version=1)
