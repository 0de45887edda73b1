"""Errors of the projections.

ProjectionError
├── UnfoldableEvent             an event cannot come where it stands in its stream
├── NotInLog                    what was asked for is not there
│   ├── NoSuchAccount           no account of this name has ever done anything
│   └── NothingOfThatName       no job, payment, order, charge or position has this id
├── NoSuchProjection            the name is not one of PROJECTIONS, or the database has no table for it
├── RebuildRunning              another rebuild of this projection holds its lock
├── RebuildDiffers              the rebuilt rows are not the live ones at the same position
├── SecondHalfFailed            the process for a long log's second half could not finish
├── ScratchTaken                what was to be built aside is there already
├── ExportFailed                a file of the log cannot be written
│   └── ParquetMissing          the library for it is not installed
├── BadManifest                 what stands beside an exported file cannot be read
└── SwapTimedOut                long readers kept the view; the fresh table stays for another try
"""

from collections.abc import Sequence

from events.errors import NeurocardsError


class ProjectionError(NeurocardsError):
    """Base of the projections' errors."""


class UnfoldableEvent(ProjectionError):
    """An event cannot come where it stands in its stream, e.g. a job's start before it was queued."""


class NotInLog(ProjectionError):
    """What was asked for is not in the log."""


class NoSuchAccount(NotInLog):
    """No account of this name, or of this Telegram user, is known."""


class NothingOfThatName(NotInLog):
    """No job, payment, order, charge or position has this id."""


class NoSuchProjection(ProjectionError):
    """No projection has this name, or `neurocards migrate` has not made its table yet."""


class RebuildRunning(ProjectionError):
    """Another rebuild of this projection is under way: wait for it."""


class RebuildDiffers(ProjectionError):
    """The rebuilt rows differ from the live ones at the same position; `keys` names some of the rows.

    The view still shows the live table. Rebuild with `accept_difference` to replace it.
    """

    def __init__(self, name: str, position: int, keys: Sequence[str], count: int) -> None:
        super().__init__(
            f"{count} rows of {name} at position {position} differ from the rebuilt ones "
            f"({', '.join(keys)}, …); the log is what counts: find what wrote the wrong rows, "
            "and rebuild again accepting the difference"
        )
        self.position = position
        self.keys = tuple(keys)


class SwapTimedOut(ProjectionError):
    """Long readers kept the view locked for too long; nothing was changed, try again later."""


class SecondHalfFailed(ProjectionError):
    """The process that folds a long log's second half could not finish."""


class ScratchTaken(ProjectionError):
    """A table or file that was to be made is there already; nothing was changed."""


class ExportFailed(ProjectionError):
    """A file of the log cannot be written; nothing was left behind."""


class ParquetMissing(ExportFailed):
    """The library for Parquet is not installed."""


class BadManifest(ProjectionError):
    """What stands beside an exported file is missing, or is no manifest."""
