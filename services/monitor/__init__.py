"""Fails and refunds what passed its deadline; reads Postgres only."""

from services.shared.aiogram_models import build_when_used

build_when_used()
