"""Metrics and alarms of payments, in any process: `neurocards_payments_…`."""

from typing import Any, Final

import structlog
from prometheus_client import Counter

logger = structlog.get_logger()

SETTLED: Final = Counter(
    "neurocards_payments_settled_total",
    "Looks at what a provider says of a payment or refund, by what came of them",
    ["provider", "outcome"],
)
ALARMS: Final = Counter(
    "neurocards_payments_alarms_total", "What a person must look at; the log says more", ["kind"]
)


def alarm(kind: str, **words: Any) -> None:
    """Alarm operators. `kind` is one of those in docs/payments.md."""
    ALARMS.labels(kind).inc()
    logger.error("payment_alarm", kind=kind, **words)
