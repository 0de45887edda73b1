"""Entries one process holds: in work, done, to be given back."""

import asyncio
from collections.abc import Iterable
from typing import Protocol

import structlog

from services.streams.consumer.scripts import Claim

logger = structlog.get_logger()

Fields = dict[bytes, bytes]


class EntryHandler(Protocol):
    """Works on entries. Only `wait_free` takes time."""

    def free(self) -> int:
        """How many more entries it takes."""

    async def wait_free(self) -> None:
        """Until `free` is above zero."""

    def take(self, entry: str, fields: Fields) -> bool:
        """Work on this entry; `fields` is empty when it was trimmed.

        True to keep it under a lease until the consumer's `done`, `release` or `drop`; False when nothing is
        left to do.
        """

    def lost(self, entry: str) -> None:
        """Another process has the entry now."""


class HeldEntries:
    def __init__(self, claim: Claim, holder: EntryHandler) -> None:
        self.claim = claim
        self.holder = holder
        self.held: set[str] = set()
        self.done: set[str] = set()
        self.released: set[str] = set()
        self.flush_requested = asyncio.Event()
        """Set when there is something to acknowledge or to give back."""
        self.own_first = True
        """Whether entries may be ours without our knowing: at the start, and after errors."""

    def take(self, entries: Iterable[tuple[bytes, Fields | None]]) -> None:
        for raw, fields in entries:
            entry = raw.decode()
            if entry in self.done or entry in self.held:
                continue
            if self.holder.take(entry, fields or {}):
                self.released.discard(entry)
                self.held.add(entry)
            else:
                self.finish(entry)

    def finish(self, entry: str) -> None:
        self.held.discard(entry)
        self.done.add(entry)
        self.flush_requested.set()

    def give_back(self, entry: str) -> None:
        self.held.discard(entry)
        self.released.add(entry)
        self.flush_requested.set()

    def lose(self, entries: Iterable[str]) -> None:
        for entry in entries:
            self.held.discard(entry)
            logger.warning("lease_lost", entry=entry, consumer=self.claim.consumer)
            self.holder.lost(entry)
