"""Metrics of the worker: `neurocards_worker_…`."""

from prometheus_client import Counter, Gauge, Histogram

JOBS_HELD = Gauge("neurocards_worker_jobs_held", "Jobs in hand")
RUNS_ENDED = Counter("neurocards_worker_runs_ended_total", "Runs that ended, and how", ["how"])
JOBS_ENDED = Counter(
    "neurocards_worker_jobs_ended_total", "Jobs this process ended", ["outcome", "error_class"]
)
PROMPTS = Counter("neurocards_worker_prompts_total", "Prompts written", ["source", "reason"])
FALLBACK_SHARE_MAX = Gauge(
    "neurocards_worker_prompt_fallback_share_max",
    "The setting PROMPT_FALLBACK_SHARE_MAX: above this share of prompts without OpenAI there is an alert",
)
SUBMISSIONS = Counter("neurocards_worker_submissions_total", "Calls of createTask by result", ["result"])
POLLS = Counter("neurocards_worker_polls_total", "Looks at tasks by result", ["result"])
LEASES_LOST = Counter("neurocards_worker_leases_lost_total", "Entries another worker took over")
FETCH_SECONDS = Histogram("neurocards_worker_fetch_seconds", "Fetching and storing a video")
