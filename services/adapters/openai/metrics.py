"""Metrics of OpenAI calls, in any process: `neurocards_openai_…`.

`call` is `chat` or `moderation`. `result` is `ok`, `spared` (circuit open), `cancelled` (its job ended
first), or a reason from errors.py.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CALLS: Final = Counter("neurocards_openai_calls_total", "Calls of OpenAI by result", ["call", "result"])
CALL_SECONDS: Final = Histogram(
    "neurocards_openai_call_seconds",
    "How long a call of OpenAI took, its retry included",
    ["call"],
    buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 60),
)
MODERATED: Final = Counter(
    "neurocards_openai_moderated_total",
    "Parts of orders (photo, product, wishes) judged: passed, flagged, or skipped for want of an answer",
    ["part", "verdict"],
)
MODERATION_FLAGS: Final = Counter(
    "neurocards_openai_moderation_flags_total", "What flagged parts were flagged for", ["part", "kind"]
)
BREAKER_OPEN: Final = Gauge(
    "neurocards_openai_breaker_open",
    "1 while calls are spared for this reason, until one is answered",
    ["reason"],
)
BREAKER_OPENINGS: Final = Counter(
    "neurocards_openai_breaker_openings_total", "How often calls began to be spared", ["reason"]
)
MODEL_END: Final = Gauge(
    "neurocards_openai_model_end_timestamp_seconds",
    "When a model in use leaves the API, or was found to be gone; 0: no end is announced",
    ["model"],
)
