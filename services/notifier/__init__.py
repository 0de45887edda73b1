"""The notifier: deliveries and status messages to sellers."""

from services.adapters.telegram.lazy_models import build_when_used

build_when_used()
