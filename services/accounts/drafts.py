"""Drafts: the order in the making, one per account (docs/decisions/order-card.md).

A draft's id is the order's id and idempotency key. What would be ordered changes only from the version it
was decided on, and not at all from its confirmation on.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.accounts.personal_data import Brief

query = load_queries("services.accounts")

View = Literal["", "styles", "formats", "lengths", "numbers", "photo", "product", "wishes"]
"""What the card asks for; empty: nothing, it shows the order."""


class Offered(msgspec.Struct, frozen=True, omit_defaults=True):
    """Text or photo of `message` that the order may get."""

    message: int
    text: str = ""
    file: str = ""
    size_bytes: int = 0
    album: str = ""


class Draft(msgspec.Struct, frozen=True):
    """Order before (and after) it is confirmed; see the table `drafts`."""

    draft: str
    account: str
    chat_id: int
    photo: str
    brief: str
    words: Brief
    message_id: int | None = None
    photo_file: str = ""
    photo_message: int = 0
    album: str = ""
    style: str = ""
    model: str = ""
    format: str = "9:16"
    seconds: int = 5
    number: int = 1
    price: int = 0
    jobs: tuple[str, ...] = ()
    view: View = ""
    browsed: str = ""
    example: str = ""
    noted: bool = False
    offered: Offered | None = None
    version: int = 1
    shown: int = 0
    changed_by: int = 0
    confirmed: bool = False
    ordered: bool = False
    product_message: int = 0
    """The message whose words are the product; 0: none."""
    wishes_message: int = 0


_CHANGED: Final = (
    "photo", "photo_file", "photo_message", "album", "style", "model", "format", "seconds", "number", "price",
    "view", "product_message", "wishes_message",
)  # fmt: skip


class Drafts:
    """The table `drafts`. Every method is one statement; reading keeps a draft for DRAFT_KEEP_SECONDS."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, draft: str) -> Draft | None:
        return await self._one("draft", draft)

    async def open(self, account: str) -> Draft | None:
        """The account's order in the making, also one that is being placed."""
        return await self._one("draft_open", account)

    async def with_message(self, account: str, message_id: int) -> list[Draft]:
        """Drafts whose words are from this message."""
        return [_draft(row) for row in await self._pool.fetch(query("drafts_with"), account, message_id)]

    async def newest_ordered(self, account: str) -> Draft | None:
        """The last order, whose choices are the defaults of the next."""
        return await self._one("draft_newest", account)

    async def make(self, draft: Draft) -> Draft | None:
        """Store a new draft with its words; None when another one is open."""
        return await self._one(
            "draft_make", draft.draft, draft.account, draft.chat_id, draft.brief, _json(draft.words),
            draft.changed_by, *(getattr(draft, name) for name in _CHANGED),
        )  # fmt: skip

    async def change(self, draft: Draft, update_id: int) -> Draft | None:
        """Store a changed draft as its next version; None when `draft.version` is not the newest any more."""
        return await self._one(
            "draft_change", draft.draft, draft.version, update_id, _json(draft.words),
            *(getattr(draft, name) for name in _CHANGED),
        )  # fmt: skip

    async def look(
        self, draft: str, view: View, offered: Offered | None = None, browsed: str | None = None
    ) -> Draft | None:
        """What the card asks for next, and the style it shows; changes nothing of the order."""
        asked = None if offered is None else _json(offered)
        return await self._one("draft_look", draft, view, asked, browsed)

    async def sent(
        self, draft: Draft, message_id: int, photo_file: str, example: str = "", *, noted: bool = False
    ) -> None:
        """Record the message that is the card; it shows `draft.version`, and the example of a style."""
        shown = (draft.draft, message_id, photo_file, draft.version, example, noted)
        await self._pool.execute(query("draft_sent"), *shown)

    async def confirm(self, draft: Draft, jobs: Sequence[str], by: int) -> Draft | None:
        """Mark that it is being placed, with `draft.model` and `by` an update; None when it has changed."""
        return await self._one("draft_confirm", draft.draft, draft.version, list(jobs), draft.model, by)

    async def reopen(self, draft: str) -> Draft | None:
        """After a definite refusal: it can be changed again, as a new version."""
        return await self._one("draft_reopen", draft)

    async def mark_ordered(self, draft: str) -> None:
        await self._pool.execute(query("mark_ordered"), draft)

    async def show_order(self, draft: str) -> None:
        """Have the notifier show the order's card once more; for one that shows something older."""
        await self._pool.execute(query("order_show"), draft)

    async def tell_when_it_works(self, account: str, draft: str, by: int) -> None:
        """Tell the account once when it can order (`draft`, or anything); `by` is the update that asks."""
        await self._pool.execute(query("notice_request"), account, draft, by)

    async def drop(self, draft: str) -> None:
        """Delete a draft that is not being ordered, and its words. An unused photo goes later."""
        await self._pool.execute(query("draft_drop"), draft)

    async def _one(self, name: str, *values: object) -> Draft | None:
        row = await self._pool.fetchrow(query(name), *values)
        return None if row is None else _draft(row)


def _draft(row: object) -> Draft:
    found = dict(row)  # type: ignore[call-overload]
    found["words"] = msgspec.json.decode(found["words"], type=Brief)
    if found["offered"] is not None:
        found["offered"] = msgspec.json.decode(found["offered"], type=Offered)
    return msgspec.convert(found, Draft)


def _json(value: msgspec.Struct) -> str:
    return msgspec.json.encode(value).decode()
