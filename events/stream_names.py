"""Names of streams: `account-<id>`, `job-<id>`, `payment-<id>`."""

ACCOUNT = "account-"
JOB = "job-"
PAYMENT = "payment-"
PROMO = "promo-"


def account_stream(account: str) -> str:
    """`a1` → `account-a1`."""
    return ACCOUNT + account


def job_stream(job: str) -> str:
    """`j1` → `job-j1`."""
    return JOB + job


def payment_stream(payment: str) -> str:
    """`p1` → `payment-p1`."""
    return PAYMENT + payment


def promo_stream(code: str) -> str:
    """`SPRING` → `promo-SPRING`."""
    return PROMO + code


def account_of(stream: str) -> str | None:
    """`account-a1` → `a1`; None for a stream of another kind."""
    return stream[len(ACCOUNT) :] if stream.startswith(ACCOUNT) else None


def job_of(stream: str) -> str | None:
    """`job-j1` → `j1`; None for a stream of another kind."""
    return stream[len(JOB) :] if stream.startswith(JOB) else None


def payment_of(stream: str) -> str | None:
    """`payment-p1` → `p1`; None for a stream of another kind."""
    return stream[len(PAYMENT) :] if stream.startswith(PAYMENT) else None
