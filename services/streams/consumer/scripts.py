"""Lua scripts of the consumer: check our seat and entry, and act, atomically."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from redis.asyncio import Redis

from services.platform.lua import load_script

IDS_PER_CALL: Final = 200
"""Entries per script, so that none keeps the server for more than a millisecond or two."""

KEPT, OTHERS, GONE = 1, 0, -1
Entry = tuple[bytes, dict[bytes, bytes] | None]
"""An entry's ID and fields; None for one that was trimmed meanwhile."""


class Claim(msgspec.Struct, frozen=True):
    """Identity: a consumer of `group` on `stream`, its seat held by `token`."""

    stream: str
    group: str
    consumer: str
    seat: str
    token: str
    lease_ms: int


class Scripts:
    """Runs them; all are safe to repeat after a lost connection."""

    def __init__(self, redis: Redis) -> None:
        names = ("renew", "ack", "release", "reclaim")
        self._scripts = {name: redis.register_script(load_script(__package__, name)) for name in names}

    async def renew(self, claim: Claim, ids: Sequence[str]) -> dict[str, int] | None:
        """Renew seat and entries: KEPT, OTHERS or GONE; None: seat lost."""
        found: dict[str, int] = {}
        for at in range(0, max(len(ids), 1), IDS_PER_CALL):
            page = ids[at : at + IDS_PER_CALL]
            states = await self._run("renew", claim, claim.lease_ms, *page)
            if states is None:
                return None
            found |= dict(zip(page, states, strict=True))
        return found

    async def ack(self, claim: Claim, ids: Sequence[str]) -> int:
        """Acknowledge our own of these; their count."""
        acknowledged = 0
        for at in range(0, len(ids), IDS_PER_CALL):
            acknowledged += int(await self._run("ack", claim, *ids[at : at + IDS_PER_CALL]))
        return acknowledged

    async def release(self, claim: Claim, ids: Sequence[str]) -> int:
        """Make our own of these claimable at once; their count."""
        if not ids:
            return 0
        return int(await self._run("release", claim, claim.lease_ms * 2, 0, *ids))

    async def leave(self, claim: Claim) -> int:
        """Make all ours claimable and free the seat; the entries' count."""
        return int(await self._run("release", claim, claim.lease_ms * 2, 1))

    async def reclaim(self, claim: Claim, cursor: bytes, count: int) -> tuple[bytes, list[Entry]]:
        """Take over up to `count` entries idle longer than the lease; the next cursor, and the entries."""
        reply = await self._run("reclaim", claim, claim.lease_ms, cursor, count)
        entries: list[Entry] = [(entry[0], _fields(entry[1])) for entry in reply[1] if entry]
        trimmed = reply[2] if len(reply) > 2 else []
        return reply[0], [*entries, *((entry, None) for entry in trimmed)]

    async def _run(self, name: str, claim: Claim, *arguments: str | int | bytes) -> Any:
        return await self._scripts[name](
            keys=[claim.stream, claim.seat], args=[claim.group, claim.consumer, claim.token, *arguments]
        )


def _fields(flat: Sequence[bytes] | None) -> dict[bytes, bytes]:
    """Fields by name from a flat reply; empty for a trimmed entry."""
    if not flat:
        return {}
    return dict(zip(flat[::2], flat[1::2], strict=True))
