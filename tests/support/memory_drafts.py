"""Orders in the making without a database."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from services.accounts.drafts import Draft, Offered, View


class MemoryDrafts:
    """Drafts in a dictionary, with the rules of `queries.sql`."""

    def __init__(self) -> None:
        self.kept: dict[str, Draft] = {}
        self.shown_again: list[str] = []
        self.wanted: dict[str, tuple[str, int]] = {}

    async def find(self, draft: str) -> Draft | None:
        return self.kept.get(draft)

    async def open(self, account: str) -> Draft | None:
        return next((d for d in self.kept.values() if d.account == account and not d.ordered), None)

    async def with_message(self, account: str, message_id: int) -> list[Draft]:
        return [d for d in self.kept.values() if message_id in (d.product_message, d.wishes_message)]

    async def newest_ordered(self, account: str) -> Draft | None:
        return next((d for d in reversed(self.kept.values()) if d.account == account and d.ordered), None)

    async def make(self, draft: Draft) -> Draft | None:
        if await self.open(draft.account) is not None:
            return None
        made = replace(draft, version=1, shown=0, jobs=(), confirmed=False, ordered=False, offered=None)
        return self.kept.setdefault(draft.draft, made)

    async def change(self, draft: Draft, update_id: int) -> Draft | None:
        old = self.kept.get(draft.draft)
        if old is None or old.version != draft.version or old.confirmed or old.ordered:
            return None
        return self._put(draft, version=draft.version + 1, changed_by=update_id, offered=None)

    async def look(
        self, draft: str, view: View, offered: Offered | None = None, browsed: str | None = None
    ) -> Draft | None:
        old = self.kept.get(draft)
        if old is None or old.confirmed:
            return None
        return self._put(old, view=view, offered=offered, browsed=old.browsed if browsed is None else browsed)

    async def sent(
        self, draft: Draft, message_id: int, photo_file: str, example: str = "", *, noted: bool = False
    ) -> None:
        if (old := self.kept[draft.draft]).shown <= draft.version:
            shown = replace(old, example=example, noted=noted, shown=draft.version)
            self._put(shown, message_id=message_id, photo_file=photo_file)

    async def confirm(self, draft: Draft, jobs: Sequence[str], update_id: int) -> Draft | None:
        old = self.kept.get(draft.draft)
        if old is None or old.version != draft.version or old.confirmed:
            return None
        placed = replace(old, jobs=tuple(jobs), model=draft.model, changed_by=update_id)
        return self._put(placed, confirmed=True, view="", offered=None, version=old.version + 1)

    async def reopen(self, draft: str) -> Draft | None:
        old = self.kept[draft]
        return self._put(old, confirmed=False, jobs=(), version=old.version + 1)

    async def mark_ordered(self, draft: str) -> None:
        self._put(self.kept[draft], ordered=True)

    async def show_order(self, draft: str) -> None:
        self.shown_again.append(draft)

    async def drop(self, draft: str) -> None:
        self.kept.pop(draft, None)

    async def tell_when_it_works(self, account: str, draft: str, by: int) -> None:
        self.wanted[account] = (draft, by)

    def _put(self, draft: Draft, **changes: Any) -> Draft:
        self.kept[draft.draft] = replace(draft, **changes)
        return self.kept[draft.draft]
