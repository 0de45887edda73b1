"""Errors of publishing."""

from ledger.errors import IntegrityError


class StreamDisagrees(IntegrityError):
    """The streams hold what the log does not: publishing on would mix two histories."""
