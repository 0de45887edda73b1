"""Fails and refunds what passed its deadline; reads Postgres only."""

from services.adapters.telegram.lazy_models import build_when_used

build_when_used()
