"""The notifier's metrics."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

DELIVERIES: Final = Counter(
    "neurocards_deliveries_total", "What became of sends, by message kind and outcome", ["kind", "outcome"]
)
STATUS_EDITS: Final = Counter(
    "neurocards_status_edits_total", "Edits of status messages, by outcome", ["outcome"]
)
FOLLOWED_POSITION: Final = Gauge(
    "neurocards_notifier_position", "Position in the log up to which messages are written down"
)
SENDING: Final = Gauge("neurocards_deliveries_in_flight", "Deliveries being sent by this process")
PENDING: Final = Gauge("neurocards_deliveries_pending", "Deliveries owed and not settled, of all notifiers")
OLDEST_PENDING_AT: Final = Gauge(
    "neurocards_deliveries_oldest_pending_timestamp_seconds",
    "When the oldest delivery that is not settled was owed; 0 without one",
)

_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 180, 300, 600, 900, 1800, 3600)

JOB_STATE_SECONDS: Final = Histogram(
    "neurocards_job_state_seconds",
    "How long jobs stayed in a state they have left",
    ["state"],
    buckets=_SECONDS,
)
JOB_SECONDS: Final = Histogram(
    "neurocards_job_seconds", "From the order to the job's end, by outcome", ["outcome"], buckets=_SECONDS
)
JOB_SUBMISSIONS: Final = Histogram(
    "neurocards_job_submissions",
    "Submissions that a job took until its end",
    ["outcome"],
    buckets=(0, 1, 2, 3, 4, 6, 8, 12, 16),
)
JOBS_ENDED: Final = Counter(
    "neurocards_jobs_ended_total", "Jobs ended, by outcome and class of error", ["outcome", "error_class"]
)
JOB_CRASHES: Final = Counter(
    "neurocards_job_crashes_total",
    "Runs that ended without a word or progress, seen when the next one starts",
)
