"""Event rows of the log, and cursors into it."""

import msgspec

GENESIS_HASH = bytes(32)
"""The hash before the first event."""


class Cursor(msgspec.Struct, frozen=True):
    """Position and hash of an event. With a lower head or another hash, the log went back in time."""

    position: int
    hash: bytes


GENESIS = Cursor(0, GENESIS_HASH)


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """One row of the log.

    `data` is the exact JSON text that was hashed. `key`, `body_hash`, `command_events` and `writer` stand on
    the first event of a command only: its idempotency key, the SHA-256 of the command, how many events it
    made, and the login that appended it.
    """

    position: int
    stream: str
    version: int
    type: str
    data: str
    key: str | None
    body_hash: bytes | None
    command_events: int | None
    writer: str | None
    recorded_at_us: int
    hash: bytes

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.position, self.hash)
