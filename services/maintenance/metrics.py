"""The metrics of maintenance."""

from typing import Final

from prometheus_client import Counter, Gauge

GIFTS: Final = Counter("neurocards_gifts_total", "Late videos given free")
SWEPT: Final = Counter("neurocards_swept_total", "Rows and files deleted when they were of age", ["what"])
REMINDERS: Final = Counter("neurocards_reminders_total", "Messages written down that no event owes", ["kind"])
NOTICES_WANTED: Final = Gauge("neurocards_notices_wanted", "People who wait to be told that it works again")
COST_OF_DAY: Final = Gauge(
    "neurocards_provider_cost_of_day_credits",
    "What today's (UTC) submissions and waiting jobs cost, in the provider's credits, as far as it is told",
)
FREE_BYTES: Final = Gauge(
    "neurocards_disk_free_bytes", "Room on the disk of a folder: `data`, `backups`", ["folder"]
)
BACKUP_OK_AT: Final = Gauge(
    "neurocards_backup_ok_timestamp_seconds",
    "When a backup was taken last (`backup`), or restored on trial without a finding (`drill`)",
    ["what"],
)
BACKUP_PROBLEMS: Final = Gauge(
    "neurocards_backup_problems", "What the newest check and the newest drill of backups have found"
)
DRILL_RESTORE_S: Final = Gauge(
    "neurocards_restore_drill_restore_seconds", "How long the last drill took until Postgres answered: RTO"
)
DRILL_LOST_S: Final = Gauge(
    "neurocards_restore_drill_lost_seconds", "How old was what the last drill did not bring back: RPO"
)
INVITATIONS: Final = Counter("neurocards_invitations_rewarded_total", "Invited accounts rewarded")
OPEN: Final = Gauge("neurocards_jobs_open", "Unfinished jobs")
OVERDUE: Final = Gauge("neurocards_jobs_overdue", "Unfinished jobs past their deadline")
OLDEST_AT: Final = Gauge(
    "neurocards_oldest_open_job_timestamp_seconds", "When the oldest unfinished job was queued; 0 without one"
)
UNSTARTED_AT: Final = Gauge(
    "neurocards_oldest_unstarted_job_timestamp_seconds",
    "When the oldest job was queued that no worker has started; 0 without one",
)
DEADLINE_AT: Final = Gauge(
    "neurocards_earliest_deadline_timestamp_seconds",
    "The earliest deadline of an unfinished job; 0 without one",
)
CHECKPOINT_AT: Final = Gauge(
    "neurocards_checkpoint_last_timestamp_seconds", "When the newest checkpoint was signed; 0 without one"
)
CHECKPOINT_FAILURES: Final = Counter(
    "neurocards_checkpoint_failures_total", "Checkpoints that could not be made; see the log"
)
NOTES_OWED_SINCE: Final = Gauge(
    "neurocards_notes_owed_timestamp_seconds",
    "Since when a place has not got the newest signed note; 0: each has it",
)
IN_STATE: Final = Gauge(
    "neurocards_jobs_in_state", "Unfinished jobs by state, as job_status has them", ["state"]
)
DEAD_LETTERS: Final = Gauge(
    "neurocards_dead_letters", "Failed jobs that wait for an operator, by class of error", ["error_class"]
)
LAG: Final = Gauge(
    "neurocards_consumer_lag_positions",
    "Positions between the log's head and where a consumer is",
    ["consumer"],
)
UNAPPLIED_AT: Final = Gauge(
    "neurocards_consumer_oldest_unapplied_timestamp_seconds",
    "When the oldest event was recorded that a consumer has not applied; 0 without one",
    ["consumer"],
)
REDIS_FAILURES: Final = Counter(
    "neurocards_maintenance_redis_failures_total", "Looks at Redis that failed; nothing depends on them"
)
RESTING: Final = Gauge(
    "neurocards_provider_account_resting", "1 while an account with trouble is left alone", ["account"]
)
MODEL_STATE: Final = Gauge(
    "neurocards_model_state", "1 for the state that a model is in, 0 for the others", ["model", "state"]
)
OPERATION_MOVED_AT: Final = Gauge(
    "neurocards_operation_moved_timestamp_seconds",
    "When the operation moved last that has waited longest; 0: none is open",
)
BALANCE: Final = Gauge(
    "neurocards_provider_balance_credits", "An account's balance, in the provider's credits", ["account"]
)
BALANCE_AT: Final = Gauge(
    "neurocards_provider_balance_timestamp_seconds", "When the balance was read last", ["account"]
)
BALANCE_FAILURES: Final = Counter(
    "neurocards_provider_balance_failures_total",
    "Readings of the balance that failed, by class of error",
    ["account", "error_class"],
)
SPENT: Final = Counter(
    "neurocards_provider_spent_credits_total",
    "How much an account's balance has gone down between readings, in the provider's credits",
    ["account"],
)
PAYMENTS_OPEN: Final = Gauge(
    "neurocards_payments_open", "Payments and refunds that are not final and looked after", ["object"]
)
OLDEST_REFUND_AT: Final = Gauge(
    "neurocards_payments_oldest_refund_timestamp_seconds",
    "When the oldest refund without an outcome was begun; 0 without one",
)
UNCREDITED_AT: Final = Gauge(
    "neurocards_payments_oldest_uncredited_timestamp_seconds",
    "Since when there is money that brought no credits; 0 without any",
    ["why"],
)
COMPARED_AT: Final = Gauge(
    "neurocards_payments_compared_timestamp_seconds", "When the provider's book was compared last; 0: never"
)
DIFFERENCES: Final = Gauge(
    "neurocards_payments_differences", "What the last comparison found and could not put right", ["kind"]
)
UNKNOWN: Final = Gauge(
    "neurocards_submissions_unknown", "Open jobs whose submission's outcome has been unknown for minutes"
)
UNCLAIMED: Final = Gauge(
    "neurocards_jobs_unclaimed", "Unfinished jobs that no entry of the jobs stream will bring to a worker"
)
REISSUED: Final = Counter(
    "neurocards_jobs_reissued_total", "Unclaimed jobs that were given to the workers once more"
)
VERIFIED_AT: Final = Gauge(
    "neurocards_verification_last_timestamp_seconds",
    "When the log was verified last, what came since and the whole; 0: never",
    ["scope"],
)
VERIFIED_POSITION: Final = Gauge(
    "neurocards_verification_position", "Position up to which the log was verified"
)
PROBLEMS: Final = Gauge(
    "neurocards_verification_problems", "What verifying found since the log was verified as a whole", ["kind"]
)
VERIFICATION_FAILURES: Final = Counter(
    "neurocards_verification_failures_total", "Verifications that could not be finished; see the log"
)
ARCHIVED_AT: Final = Gauge(
    "neurocards_wal_archived_timestamp_seconds", "When Postgres last had a WAL file archived; 0: never"
)
ARCHIVE_FAILED_AT: Final = Gauge(
    "neurocards_wal_archive_failed_timestamp_seconds", "When archiving a WAL file last failed; 0: never"
)


def measured(gauge: Gauge) -> dict[str, float]:
    """What this process has measured, by the gauge's one label; not what is not known now."""
    samples = next(iter(gauge.collect())).samples
    return {next(iter(each.labels.values())): each.value for each in samples if each.value == each.value}
