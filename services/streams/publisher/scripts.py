"""Lua scripts of the publisher: atomic, guarded steps on both streams.

After a crash, a dropped reply, a second relay or a wipe, running one again writes nothing twice.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
from redis.asyncio import Redis

from events.envelope import Cursor, Recorded
from ledger.errors import IntegrityError, LedgerError
from services.platform.lua import load_script
from services.platform.redis_keys import EPOCH, JOBS, LEDGER
from services.streams import entries as streams
from services.streams.entries import GENERATION, JobEntry, StreamError, entry_id


class StreamMismatchError(IntegrityError):
    """The streams hold what the log does not: publishing on would mix two histories."""


class StreamsBusyError(LedgerError):
    """The streams keep changing and cannot be recreated or swapped."""


Swapped = Literal["swapped", "behind", "gone", "differs"]


class StreamState(msgspec.Struct, frozen=True):
    """What the streams hold; `last`: event at `ledger`'s last ID, None if trimmed.

    `jobs_last` is empty when that stream is missing, `epoch` when there is none.
    """

    ledger_last: str
    last: Recorded | None
    jobs_last: str
    epoch: str


class Place(msgspec.Struct, frozen=True):
    """Last event published, last ID of `jobs`, and the epoch."""

    cursor: Cursor
    jobs_last: str
    epoch: str


class Scripts:
    def __init__(self, redis: Redis, *, ledger_entries_max: int) -> None:
        self.redis = redis
        self._ledger_entries_max = ledger_entries_max
        names = ("state", "publish", "recover", "build", "swap")
        self._scripts = {n: redis.register_script(load_script(__package__, "last_id", n)) for n in names}

    async def state(self, *, believing: bool = True) -> StreamState:
        """State of the streams. Raises StreamMismatchError for a foreign last entry.

        Not `believing`: a foreign entry counts as none.
        """
        last_id, event, jobs_last, epoch = await self._run("state", [LEDGER, JOBS, EPOCH], [])
        try:
            last = streams.decode_entry(last_id, {b"event": event}) if event else None
        except StreamError as error:
            if not believing:
                return StreamState(last_id.decode(), None, jobs_last.decode(), epoch.decode())
            raise StreamMismatchError(f"{error}; stop what writes it and run `neurocards recover`") from None
        return StreamState(last_id.decode(), last, jobs_last.decode(), epoch.decode())

    async def publish(self, place: Place, events: Sequence[Recorded]) -> Place | None:
        """Add `events` after `place` to both streams; None if not there."""
        jobs = [entry for event in events if (entry := streams.job_entry(event)) is not None]
        first = events[0].position
        arguments: list[bytes | str | int] = [
            entry_id(place.cursor.position),
            streams.entry_ending(place.cursor.hash),
            place.jobs_last,
            place.epoch,
            first,
            self._ledger_entries_max,
            len(events),
        ]
        arguments += [streams.encode_entry(event) for event in events]
        done, _ = await self._run("publish", [LEDGER, JOBS, EPOCH], arguments + _job_arguments(jobs))
        if not done:
            return None
        jobs_last = entry_id(jobs[-1].position) if jobs else place.jobs_last
        return Place(events[-1].cursor, jobs_last, place.epoch)

    async def recover(self, seen: StreamState, base: Recorded | None, jobs: Sequence[JobEntry]) -> str | None:
        """Recreate the streams after `base` with these jobs; the new epoch.

        None when the streams are not as seen any more.
        """
        arguments: list[bytes | str | int] = [
            seen.ledger_last,
            seen.jobs_last,
            seen.epoch,
            entry_id(base.position) if base else streams.NO_ID,
            streams.encode_entry(base) if base else b"",
            GENERATION,
        ]
        done, epoch = await self._run("recover", [LEDGER, JOBS, EPOCH], arguments + _job_arguments(jobs))
        return epoch.decode() if done else None

    async def build(
        self, key: str, first: int, entries: Sequence[bytes], *, begun: bool, keep_s: int
    ) -> bool:
        """Add entries from position `first` on to a stream being built.

        It must end right before them, or not exist unless it has `begun`; returns whether that was so.
        Expires after `keep_s` seconds without additions.
        """
        before = entry_id(first - 1) if begun else streams.NO_ID
        (last,) = await self._run("build", [key], [before, first, keep_s, *entries])
        return bool(last.decode() == entry_id(first + len(entries) - 1))

    async def swap(
        self, key: str, epoch: str, built: Cursor, entries: int, following: Sequence[Recorded]
    ) -> tuple[Swapped, int]:
        """Replace `ledger` by the stream built at `key`; see swap.lua.

        The result, and the position that the built stream has come to with those of `following` it needed.
        """
        arguments: list[bytes | str | int] = [
            epoch,
            entry_id(built.position),
            entries,
            len(streams.entry_ending(built.hash)),
            built.position + 1,
        ]
        arguments += [streams.encode_entry(event) for event in following]
        keys = [LEDGER, EPOCH, key, f"{key}:old"]
        what, last = await self._run("swap", keys, arguments)
        return what.decode(), streams.position_of(last) or 0

    async def forget(self, key: str) -> None:
        await self.redis.unlink(key)

    async def trim_ledger(self, entries: int) -> int:
        """Keep only the newest entries of `ledger`; the count removed."""
        return int(await self.redis.xtrim(LEDGER, maxlen=entries, approximate=False))

    async def trim_jobs(self, lowest: int) -> int:
        """Remove entries of `jobs` below a position; the count."""
        return int(await self.redis.xtrim(JOBS, minid=entry_id(lowest), approximate=False))

    async def _run(self, name: str, keys: list[str], arguments: list[bytes | str | int]) -> list[Any]:
        return list(await self._scripts[name](keys=keys, args=arguments))


def _job_arguments(jobs: Sequence[JobEntry]) -> list[bytes | str | int]:
    return [word for entry in jobs for word in (entry_id(entry.position), entry.job, entry.type)]
