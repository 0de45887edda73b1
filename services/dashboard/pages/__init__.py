"""Pages by subject, each with its ROUTES."""

from typing import Final

from services.dashboard.pages import events
from services.dashboard.routes import Route

ROUTES: Final[tuple[Route, ...]] = (*events.ROUTES,)
"""Every route of the dashboard but the static files."""
