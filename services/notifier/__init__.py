"""Tells sellers how their jobs end."""

from services.shared.aiogram_models import build_when_used

build_when_used()
