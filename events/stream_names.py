"""Names of streams: `account-<id>`, `job-<id>`, `payment-<id>`, `promo-<code>`."""

ACCOUNT = "account-"
JOB = "job-"
PAYMENT = "payment-"
PROMO = "promo-"


def account_stream(account: str) -> str:
    return ACCOUNT + account


def job_stream(job: str) -> str:
    return JOB + job


def payment_stream(payment: str) -> str:
    return PAYMENT + payment


def promo_stream(code: str) -> str:
    return PROMO + code


def account_of(stream: str) -> str | None:
    return stream[len(ACCOUNT) :] if stream.startswith(ACCOUNT) else None


def job_of(stream: str) -> str | None:
    return stream[len(JOB) :] if stream.startswith(JOB) else None


def payment_of(stream: str) -> str | None:
    return stream[len(PAYMENT) :] if stream.startswith(PAYMENT) else None
