"""The monitor's metrics."""

from typing import Final

from prometheus_client import Counter, Gauge

FAILED: Final = Counter("neurocards_jobs_timed_out_total", "Jobs failed and refunded at their deadline")
EXPIRED: Final = Counter("neurocards_expiries_total", "Commands that booked credits whose life was over")
GIFTS: Final = Counter("neurocards_gifts_total", "Late videos given free")
STUCK: Final = Gauge("neurocards_jobs_stuck", "Overdue jobs that could not be failed; see the log")
OPEN: Final = Gauge("neurocards_jobs_open", "Unfinished jobs")
OVERDUE: Final = Gauge("neurocards_jobs_overdue", "Unfinished jobs past their deadline")
OLDEST_AT: Final = Gauge(
    "neurocards_oldest_open_job_timestamp_seconds", "When the oldest unfinished job was queued; 0 without one"
)
OLDEST_AGE: Final = Gauge(
    "neurocards_oldest_open_job_age_seconds", "Age of the oldest unfinished job; 0 without one"
)
CHECKPOINT_AT: Final = Gauge(
    "neurocards_checkpoint_last_timestamp_seconds", "When the newest checkpoint was signed; 0 without one"
)
CHECKPOINT_FAILURES: Final = Counter(
    "neurocards_checkpoint_failures_total", "Checkpoints that could not be made; see the log"
)
