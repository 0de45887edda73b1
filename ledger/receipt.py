"""What a caller gets for an accepted command."""

import msgspec


class Receipt(msgspec.Struct, frozen=True):
    """Where the command's events stand: `events` of them from `position` on, at the database's time.

    Asking again with the same key and body gives an equal receipt, for ever. A command that had nothing to
    do gives `events` = 0 at position 0; it uses up no key.
    """

    position: int
    events: int
    recorded_at_us: int


NOTHING_TO_DO = Receipt(0, 0, 0)
