"""Update queue, and getUpdates with its rules about offsets and rival pollers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from services.sandbox.app import Context
from services.sandbox.telegram.calls import conflict
from services.sandbox.telegram.world import Signal

Update = dict[str, Any]

UPDATE_KIND = "telegram_update"
_SETTINGS_KIND = "telegram_updates"
KEEP_S = 24 * 3600
FIRST_UPDATE_ID = 900_000_001
# The real queue calls an offset this far beyond its end nonsense and starts from the oldest update.
_OFFSET_SLACK = 10

# Sent only when asked for by name.
_ON_REQUEST = frozenset({"chat_member", "message_reaction", "message_reaction_count"})

_TERMINATED = "terminated by other getUpdates request; make sure that only one bot instance is running"
_WEBHOOK_ACTIVE = (
    "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)


class _Turn:
    """One getUpdates that waits; told why when it must end early."""

    ended: bool = False
    reason: str = ""


class UpdateQueue:
    """Updates oldest first; each stays until confirmed (polling), delivered (webhook), or 24 hours old."""

    def __init__(self, ctx: Context) -> None:
        self._clock = ctx.clock
        self._store = ctx.store
        self.arrived = Signal()
        self._poller = _Turn()
        self._entries: OrderedDict[int, dict[str, Any]] = OrderedDict()
        for key, doc in self._store.all(UPDATE_KIND):
            self._entries[int(key)] = doc

    # Filling

    def push(self, kind: str, payload: dict[str, Any], chat_id: int) -> int | None:
        """Queue an update, returning its id; None when the bot did not ask for its kind."""
        if not self._wanted(kind):
            return None
        update_id = self._store.next_id("telegram_update", FIRST_UPDATE_ID)
        doc = {"update": {"update_id": update_id, kind: payload}, "at": self._clock.now(), "chat_id": chat_id}
        self._store.put(UPDATE_KIND, str(update_id), doc)
        self._entries[update_id] = doc
        self.arrived.notify()
        return update_id

    def _wanted(self, kind: str) -> bool:
        allowed = self.allowed()
        return kind in allowed if allowed else kind not in _ON_REQUEST

    def allowed(self) -> list[str]:
        """Kinds the bot asked for; empty means all but the few that must be named."""
        names: list[str] = (self._store.get(_SETTINGS_KIND, "allowed") or {"names": []})["names"]
        return names

    def allow(self, names: Any) -> None:
        """Store allowed_updates for later updates; anything but a list changes nothing."""
        if isinstance(names, list):
            self._store.put(_SETTINGS_KIND, "allowed", {"names": [str(name) for name in names]})

    # Emptying

    def pending(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Waiting updates with `update`, `at`, `chat_id`, oldest first; safe against changes meanwhile."""
        self._expire()
        return iter(list(self._entries.items()))

    def count(self) -> int:
        self._expire()
        return len(self._entries)

    def remove(self, update_id: int) -> None:
        if self._entries.pop(update_id, None) is not None:
            self._store.delete(UPDATE_KIND, str(update_id))

    def clear(self) -> None:
        with self._store.batch():
            for update_id in list(self._entries):
                self.remove(update_id)

    def _expire(self) -> None:
        horizon = self._clock.now() - KEEP_S
        while self._entries:
            update_id = next(iter(self._entries))
            if self._entries[update_id]["at"] >= horizon:
                return
            self.remove(update_id)

    # Polling

    def interrupt_poller(self, reason: str) -> None:
        self._poller.ended, self._poller.reason = True, reason
        self.arrived.notify()

    async def poll(self, offset: int, limit: int, timeout_s: int, webhook_url: str) -> list[Update]:
        """getUpdates; a later caller ends an earlier one's wait with a 409."""
        if webhook_url:
            raise conflict(_WEBHOOK_ACTIVE)
        self.interrupt_poller(_TERMINATED)
        start = self._confirm(offset)
        ready = self._from(start, limit)
        if ready or timeout_s <= 0:
            return ready
        return await self._wait(start, limit, timeout_s)

    async def _wait(self, start: int, limit: int, timeout_s: int) -> list[Update]:
        turn = self._poller = _Turn()

        def ready() -> list[Update]:
            if turn.ended:
                raise conflict(turn.reason)
            return self._from(start, limit)

        return await self.arrived.until(ready, timeout_s)

    def _confirm(self, offset: int) -> int:
        """Forget what the offset confirms; returns the first id to show."""
        self._expire()
        next_id = self._store.last_id("telegram_update", FIRST_UPDATE_ID) + 1
        if offset < 0:
            keep = list(self._entries)[offset:]
            offset = keep[0] if keep else next_id
        if offset > next_id + _OFFSET_SLACK:
            return 0
        with self._store.batch():
            while self._entries and next(iter(self._entries)) < offset:
                self.remove(next(iter(self._entries)))
        return offset

    def _from(self, start: int, limit: int) -> list[Update]:
        ready = []
        for update_id, entry in self._entries.items():
            if update_id >= start:
                ready.append(entry["update"])
                if len(ready) == limit:
                    break
        return ready
