"""The monitor's metrics."""

from typing import Final

from prometheus_client import Counter, Gauge

FAILED: Final = Counter("neurocards_jobs_timed_out_total", "Jobs failed and refunded at their deadline")
EXPIRED: Final = Counter("neurocards_expiries_total", "Commands that booked credits whose life was over")
STUCK: Final = Gauge("neurocards_jobs_stuck", "Overdue jobs that could not be failed; see the log")
HINDERED: Final = Gauge(
    "neurocards_log_hindrances", "What holds the append lock, or holds up the log for over a minute", ["what"]
)
LOCK_FREED: Final = Counter(
    "neurocards_append_lock_freed_total", "Sessions that were ended as they held the append lock", ["login"]
)
FAR_DEADLINES: Final = Gauge(
    "neurocards_jobs_far_deadline", "Unfinished jobs whose deadline is farther than JOB_DEADLINE_SECONDS"
)
