"""Names of streams: `account-<id>`, `job-<id>`, `payment-<id>`, `promo-<code>`, `system-<process>`."""

ACCOUNT = "account-"
JOB = "job-"
PAYMENT = "payment-"
PROMO = "promo-"
SYSTEM = "system-"
SALES_STREAM = "system-sales"
CLOCK_STREAM = "system-clock"
LOG_STREAM = "system-log"


def account_stream(account: str) -> str:
    return ACCOUNT + account


def job_stream(job: str) -> str:
    return JOB + job


def payment_stream(payment: str) -> str:
    return PAYMENT + payment


def promo_stream(code: str) -> str:
    return PROMO + code


def system_stream(process: str) -> str:
    return SYSTEM + process


def account_of(stream: str) -> str | None:
    return stream[len(ACCOUNT) :] if stream.startswith(ACCOUNT) else None


def job_of(stream: str) -> str | None:
    return stream[len(JOB) :] if stream.startswith(JOB) else None


def payment_of(stream: str) -> str | None:
    return stream[len(PAYMENT) :] if stream.startswith(PAYMENT) else None
