"""Metrics of YooKassa calls, in any process.

`call` is create, get, list, refund, get_refund or list_refunds. `result` is `ok`, `refused`, `unknown` or
`unavailable`.
"""

from typing import Final

from prometheus_client import Counter, Histogram

CALLS: Final = Counter(
    "neurocards_payments_yookassa_calls_total", "Calls of YooKassa by result", ["call", "result"]
)
CALL_SECONDS: Final = Histogram(
    "neurocards_payments_yookassa_call_seconds",
    "How long a call of YooKassa took, without the wait for a free thread",
    ["call"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
)
