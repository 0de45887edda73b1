"""Events as the ledger makes them, for the folds."""

from events.account import AccountOpened, CreditsCharged, CreditsGranted, CreditsRefunded, Part, TermsAccepted
from events.codec import Event
from events.envelope import Recorded
from events.job import Failure, JobFailed, JobQueued, Video
from tests.support.history import History

ACCOUNT = "account-a"
VIDEO = Video("videos/v.mp4", "ab" * 32, 1234)
TIMED_OUT = Failure("timeout")


def account_with(history: History, credits: int, account: str = "a") -> None:
    stream = f"account-{account}"
    history.record((stream, AccountOpened()))
    history.record((stream, TermsAccepted("1")), (stream, CreditsGranted(credits, "bonus", "welcome", lot=1)))


def ordered(
    history: History, *jobs: str, price: int = 1, account: str = "a", order: str = "o"
) -> list[Recorded]:
    """One order of these jobs, charged and queued."""
    made: list[tuple[str, Event]] = []
    for number, job in enumerate(jobs, start=1):
        made.append((f"account-{account}", CreditsCharged(job, order, price, drawn(price))))
        made.append((f"job-{job}", queued(account, order, number, len(jobs), price)))
    return history.record(*made)


def drawn(price: int) -> tuple[Part, ...]:
    """So many credits of the lot that `account_with` makes."""
    return (Part(1, price, "bonus"),) if price else ()


def queued(account: str = "a", order: str = "o", number: int = 1, of: int = 1, price: int = 1) -> JobQueued:
    return JobQueued(
        account,
        order,
        number,
        of,
        price,
        "seedance",
        "ugc",
        "photos/p.jpg",
        "brief",
        "ru",
        99_000_000,
        drawn(price),
    )


def failed(history: History, job: str, price: int = 1, account: str = "a") -> list[Recorded]:
    """The job failed and was refunded, in one command."""
    return history.record(
        (f"job-{job}", JobFailed("worker", TIMED_OUT)),
        (f"account-{account}", CreditsRefunded(job, price, "timeout", drawn(price))),
    )
