"""What is done on a schedule and needs more than Postgres."""

from services.adapters.telegram.lazy_models import build_when_used

build_when_used()
