"""Pages by subject, each with its ROUTES."""

from typing import Final

from services.dashboard import live
from services.dashboard.pages import (
    audit,
    downloads,
    errors,
    events,
    home,
    jobs,
    login,
    machinery,
    money,
    operations,
    people,
)
from services.dashboard.routes import Route

ROUTES: Final[tuple[Route, ...]] = (
    *login.ROUTES,
    *home.ROUTES,
    *errors.ROUTES,
    *jobs.ROUTES,
    *people.ROUTES,
    *money.ROUTES,
    *events.ROUTES,
    *audit.ROUTES,
    *downloads.ROUTES,
    *machinery.ROUTES,
    *operations.ROUTES,
    *live.ROUTES,
)
"""Every route of the dashboard but the static files."""
