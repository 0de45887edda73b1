"""Keeps OpenTelemetry out of a process that traces nothing, where it is installed.

redis-py imports it whenever it can, for metrics that we do not use: a fifth of a second at every start.
"""

import sys
from types import ModuleType

_NAME = "opentelemetry"
_loaded: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]


def keep_out() -> None:
    """Whoever imports it from now on is told that it is not there, unless it is loaded already."""
    _loaded.setdefault(_NAME, None)


def let_in() -> None:
    """It may be imported after all."""
    if _loaded.get(_NAME) is None:
        _loaded.pop(_NAME, None)
