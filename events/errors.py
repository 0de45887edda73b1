"""The root of every error this project raises on purpose.

    NeurocardsError
    ├── CodecError         an event that cannot be written or read (events.codec)
    ├── LedgerError        see ledger.errors
    │   ├── RejectedError  the rules say no; nothing was written, the key is not used up
    │   └── …                     trouble with the log itself
    ├── SettingsError      a setting is missing or wrong (services.platform.settings)
    └── …                         adapters and services add their own branches

A message says what happened and, where a person can act, what to do.
"""


class NeurocardsError(Exception):
    """Base of all errors raised on purpose."""


class CodecError(NeurocardsError):
    """An event's data cannot be encoded or decoded."""


class UnknownEventTypeError(CodecError):
    """An event type this version does not know: upgrade before reading on."""

    def __init__(self, type_name: str, position: int | None = None) -> None:
        at = "" if position is None else f" at position {position}"
        super().__init__(f"unknown event type {type_name!r}{at}; this code is older than the log, upgrade")
        self.type_name = type_name
        self.position = position
