"""Scheduled tasks that need more than Postgres."""

from services.adapters.telegram.lazy_models import build_when_used

build_when_used()
