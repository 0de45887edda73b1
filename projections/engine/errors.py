"""Errors of the projections.

ProjectionError
├── UnfoldableEventError        an event cannot come where it stands in its stream
├── NotInLogError               what was asked for is not there
│   ├── NoSuchAccountError      no account of this name has ever done anything
│   └── NothingOfThatNameError  no job, payment, order, charge or position has this id
├── ProjectionNotFoundError     the name is not one of PROJECTIONS, or the database has no table for it
├── RebuildRunningError         another rebuild of this projection holds its lock
├── RebuildMismatchError        the rebuilt rows are not the live ones at the same position
├── TargetTakenError            what was to be built aside is there already
├── ExportError                 a file of the log cannot be written
├── ManifestError               what stands beside an exported file cannot be read
│   └── MalformedManifestError  it is there, and no manifest
└── SwapTimeoutError            long readers kept the view; the fresh table stays for another try
"""

from collections.abc import Sequence

from events.errors import NeurocardsError


class ProjectionError(NeurocardsError):
    """Base of the projections' errors."""


class UnfoldableEventError(ProjectionError):
    """An event impossible in its stream, e.g. a job's start before queueing."""


class NotInLogError(ProjectionError):
    """What was asked for is not in the log."""


class NoSuchAccountError(NotInLogError):
    """No account of this name, or of this Telegram user, is known."""


class NothingOfThatNameError(NotInLogError):
    """No job, payment, order, charge or position has this id."""


class ProjectionNotFoundError(ProjectionError):
    """No projection of this name, or no table yet (`neurocards migrate`)."""


class RebuildRunningError(ProjectionError):
    """Another rebuild of this projection is under way: wait for it."""


class RebuildMismatchError(ProjectionError):
    """Rows differ, some in `keys`; the live table stays. See `accept_difference`."""

    def __init__(self, name: str, position: int, keys: Sequence[str], count: int) -> None:
        super().__init__(
            f"{count} rows of {name} at position {position} differ from the rebuilt ones "
            f"({', '.join(keys)}, …); the log is what counts: find what wrote the wrong rows, "
            "and rebuild again accepting the difference"
        )
        self.position = position
        self.keys = tuple(keys)


class SwapTimeoutError(ProjectionError):
    """Long readers kept the view locked; nothing was changed, try again later."""


class TargetTakenError(ProjectionError):
    """A table or file that was to be made is there already; nothing was changed."""


class ExportError(ProjectionError):
    """A file of the log cannot be written; nothing was left behind."""


class ManifestError(ProjectionError):
    """What stands beside an exported file is missing, or is no manifest."""


class MalformedManifestError(ManifestError):
    """Manifest of an exported file is not written as manifests are."""
