"""Metrics shared by several processes."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

LIMITER_WAIT: Final = Histogram(
    "neurocards_limiter_wait_seconds",
    "How long jobs were kept waiting for a turn to create, and for a read",
    ["what"],
    buckets=(0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120, 300),
)
LIMITER_ALONE: Final = Counter(
    "neurocards_limiter_without_redis_total",
    "Times that Redis did not answer and each process kept the limits alone",
)
LOG_AHEAD: Final = Gauge(
    "neurocards_log_ahead_seconds",
    "By how much the newest event's time is ahead of the database's clock; below 0 when it is past",
)
CLOCK_AHEAD: Final = Gauge(
    "neurocards_clock_ahead_seconds",
    "By how much the database's clock is ahead of the process's, or of a witness from outside",
    ["of"],
)
CLOCK_DOUBT: Final = Gauge(
    "neurocards_clock_in_doubt", "1 while this process can append nothing, as no two clocks agree"
)
OLD_SECRETS: Final = Counter(
    "neurocards_old_secret_total",
    "Callbacks and links under a secret that is taken and no longer signs",
    ["what"],
)
BLOB_STORE_FAILURES: Final = Counter(
    "neurocards_blob_store_failures_total",
    "Calls of the bucket with photos and videos that failed after its client's retries",
)
FEED_EVENTS: Final = Counter(
    "neurocards_feed_events_total", "Events read by in-order consumers, by where from", ["source"]
)
HTTP_DROPPED: Final = Counter(
    "neurocards_http_connections_dropped_total",
    "Connections that had to go for others, or found no place because all others were at work",
    ["reason"],
)
ROUND_AT: Final = Gauge(
    "neurocards_round_timestamp_seconds", "When a periodic task last ended a round well", ["round"]
)
ROUND_FAILURES: Final = Counter(
    "neurocards_round_failures_total",
    "Rounds of a periodic task that ended in an unexpected error",
    ["round"],
)
RECLAIMED: Final = Counter(
    "neurocards_consumer_reclaimed_total", "Entries taken over because another let them lie", ["group"]
)
