"""Tells sellers how their jobs end."""

from services.adapters.telegram.lazy_models import build_when_used

build_when_used()
