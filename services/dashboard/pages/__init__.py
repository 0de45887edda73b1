"""Pages by subject, each with its ROUTES."""

from typing import Final

from services.dashboard import live
from services.dashboard.pages import errors, events, home, jobs, login, machinery, operations
from services.dashboard.routes import Route

ROUTES: Final[tuple[Route, ...]] = (
    *login.ROUTES,
    *home.ROUTES,
    *errors.ROUTES,
    *jobs.ROUTES,
    *events.ROUTES,
    *machinery.ROUTES,
    *operations.ROUTES,
    *live.ROUTES,
)
"""Every route of the dashboard but the static files."""
