"""What a shell completes besides commands, options and their fixed choices: names that the code itself knows.

Nothing here asks a server: the TAB key must answer at once, also while everything is down. Names that only
a database knows (jobs, accounts, payments) are not completed.
"""

from collections.abc import Iterable


def projections(incomplete: str) -> list[str]:
    """Read models."""
    from projections.engine.registry import PROJECTIONS

    return _beginning(PROJECTIONS, incomplete)


def projections_or_all(incomplete: str) -> list[str]:
    """Read models, or the word for all of them."""
    from projections.engine.registry import PROJECTIONS

    return _beginning([*PROJECTIONS, "all"], incomplete)


def models(incomplete: str) -> list[str]:
    """Video models of the catalogue."""
    from services.generation.catalogue import load_catalogue

    return _beginning((model.slug for model in load_catalogue().models), incomplete)


def error_classes(incomplete: str) -> list[str]:
    """Classes of the error policy."""
    from services.generation.error_classes import POLICIES

    return _beginning(POLICIES, incomplete)


def parked_classes(incomplete: str) -> list[str]:
    """Classes whose jobs become dead letters."""
    from services.generation.error_classes import POLICIES

    return _beginning((name for name, policy in POLICIES.items() if policy.parks), incomplete)


def event_types(incomplete: str) -> list[str]:
    """Types of events."""
    from events.codec import EVENT_TYPES

    return _beginning(sorted(EVENT_TYPES), incomplete)


def backups(incomplete: str) -> list[str]:
    """Backups in BACKUP_DIR, by the names of their folders; none when there is no such folder."""
    from services.backup.repository import open_repository
    from services.cli.connections import settings_here
    from services.platform.errors import SettingsError

    try:
        root = open_repository(settings_here()).root
        return _beginning(sorted(path.parent.name for path in root.glob("[!.]*/backup.json")), incomplete)
    except (OSError, SettingsError):
        return []


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
