"""Shell completion of names that the code itself knows.

No server is asked, since TAB must answer at once; so no jobs, accounts or payments.
"""

from collections.abc import Iterable


def projections_or_all(incomplete: str) -> list[str]:
    from projections.engine.registry import PROJECTIONS

    return _beginning([*PROJECTIONS, "all"], incomplete)


def models(incomplete: str) -> list[str]:
    from services.generation.catalogue import load_catalogue

    return _beginning((model.slug for model in load_catalogue().models), incomplete)


def error_classes(incomplete: str) -> list[str]:
    from services.generation.error_classes import POLICIES

    return _beginning(POLICIES, incomplete)


def parked_classes(incomplete: str) -> list[str]:
    from services.generation.error_classes import POLICIES

    return _beginning((name for name, policy in POLICIES.items() if policy.parks), incomplete)


def event_types(incomplete: str) -> list[str]:
    from events.codec import EVENT_TYPES

    return _beginning(sorted(EVENT_TYPES), incomplete)


def backups(incomplete: str) -> list[str]:
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
