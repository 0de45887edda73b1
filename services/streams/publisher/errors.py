"""Errors of publishing."""

from ledger.errors import IntegrityError, LedgerError


class StreamMismatchError(IntegrityError):
    """The streams hold what the log does not: publishing on would mix two histories."""


class StreamsBusyError(LedgerError):
    """The streams change all the time, so that they cannot be made anew or exchanged."""
