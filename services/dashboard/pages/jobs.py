"""`/jobs`: jobs by state, class, model, style, person and age; `/jobs/{job}`: all that happened to one."""

import time
from typing import Any, Final, NamedTuple, get_args

import asyncpg
from aiohttp import web

from events.codec import decode_data
from events.job import JobSucceeded, SubmissionAccepted, SubmissionFailed, SubmissionIntended, VideoGifted
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from projections.models.job_status import ENDED, State
from projections.reports.explain import Step, explain
from services.dashboard.figures import SPAN, Figure, Filter, price_of
from services.dashboard.pages.errors import words_of
from services.dashboard.routes import Route
from services.dashboard.visit import BadArgumentError, Visit
from services.generation.catalogue import load_catalogue
from services.generation.error_classes import POLICIES
from services.generation.prompts.styles import load_styles
from services.platform.catalogues import N_

query = load_queries("services.dashboard")

WINDOW: Final = 900
"""Jobs that a page reads at most."""
SHOWN: Final = 100
OPEN: Final = "open"
STATES: Final = (OPEN, *get_args(State))
AGES: Final = {
    "hour": N_("last hour"),
    "day": N_("last day"),
    "week": N_("last week"),
    "older": N_("older than an hour"),
}
HOUR_US: Final = 3_600_000_000
_SINCE_US: Final = {"hour": HOUR_US, "day": 24 * HOUR_US, "week": 7 * 24 * HOUR_US}
EVER_US: Final = 2**62


class Wanted(NamedTuple):
    """Filter of jobs by columns of job_status, and by age; empty: any."""

    state: str
    failure_class: str
    model: str
    style: str
    account: str
    age: str

    def fits(self, job: asyncpg.Record) -> bool:
        if self.state == OPEN and job["state"] in ENDED:
            return False
        of = self._asdict() | {"state": "" if self.state == OPEN else self.state, "age": ""}
        return all(not value or job[name] == value for name, value in of.items())


async def jobs(visit: Visit) -> web.Response:
    wanted = Wanted(
        visit.choice("state", STATES), visit.choice("class", POLICIES), visit.arg("model"),
        visit.arg("style"), visit.arg("account"), visit.choice("age", AGES),
    )  # fmt: skip
    now_us = time.time_ns() // 1000
    since_us = now_us - _SINCE_US[wanted.age] if wanted.age in _SINCE_US else 0
    until_us = now_us - HOUR_US if wanted.age == "older" else EVER_US
    if wanted.state == OPEN:
        rows = await visit.pool.fetch(query("jobs_open"), WINDOW)
        rows = [row for row in rows if since_us <= row["queued_at_us"] < until_us]
    else:
        place = (*_place(visit), since_us, until_us, WINDOW)
        of = (wanted.account,) if wanted.account else ()
        sql = query("jobs_window").format(of="account = $6 AND" if of else "")
        rows = await visit.pool.fetch(sql, *place, *of)
    found = [row for row in rows if wanted.fits(row)]
    last = found[SHOWN - 1] if len(found) > SHOWN else rows[-1] if len(rows) == WINDOW else None
    after = f"{last['queued_at_us']}:{last['job']}" if last and wanted.state != OPEN else ""
    return await visit.render(
        "jobs.html", shows=("job_status",), wanted=wanted, jobs=[_figures(row) for row in found[:SHOWN]],
        more=len(found) > SHOWN, after=after, scanned=len(rows), states=STATES, classes=list(POLICIES),
        ages=AGES, styles=list(load_styles()),
        models=[model.slug for model in load_catalogue().models], topics="job_status",
    )  # fmt: skip


def _figures(row: asyncpg.Record) -> dict[str, Any]:
    """The row with figures: price, submissions, and the time it took, None before its end."""

    def of(*types: str) -> Filter:
        return Filter(types, job=row["job"], position=row["position"])

    took, ended_us = None, row["ended_at_us"]
    if ended_us is not None:
        span = of("JobQueued", "JobSucceeded", "JobFailed")
        took = Figure((ended_us - row["queued_at_us"]) / 1e6, "seconds", span, SPAN)
    submissions = Figure(row["submissions"], of=of("SubmissionIntended"))
    return dict(row) | {"price": price_of(row), "submissions": submissions, "took": took}


def _place(visit: Visit) -> tuple[int, str]:
    """Where the page begins. Raises BadArgumentError."""
    text, _, job = visit.arg("before").partition(":")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadArgumentError("before", "a place as the page links to it is wanted")
    return (int(text), job) if text else (EVER_US, "")


async def job(visit: Visit) -> web.Response:
    """One job: events, attempts, provider calls, messages and money in one timeline."""
    name = visit.part("job")
    row = await visit.pool.fetchrow(query("job_row"), name)
    try:
        chain = await explain(visit.pool, name)
    except NothingOfThatNameError:
        return await visit.render("missing.html", status=404, what=name)
    if chain.kind != "job":
        return await visit.render("missing.html", status=404, what=name)
    steps = [step for step in chain.steps if step.job in (None, name) or step.stage != "attempt"]
    account = "" if row is None else row["account"]
    words = await words_of(visit, (step.ref for step in steps), account)
    return await visit.render(
        "job.html", shows=("job_status",), name=name, account=account, row=row and _figures(row), steps=steps,
        words=words,
        unknown=unknown(steps, row), ended=row is not None and row["state"] in ENDED,
        topics="job_status notifier",
    )  # fmt: skip


def unknown(steps: list[Step], row: Any) -> list[tuple[str, int]]:
    """Unknown facts of a job: msgids, each with a number."""
    events = [decode_data(s.type, s.data, s.position or 0) for s in steps if s.data is not None]
    intended = [e.submission for e in events if isinstance(e, SubmissionIntended)]
    tasks = {e.submission for e in events if isinstance(e, SubmissionAccepted)}
    heard = tasks | {e.submission for e in events if isinstance(e, SubmissionFailed)}
    lost = N_("Nobody knows whether submission %(n)s arrived at the provider.")
    found = [(lost, submission) for submission in intended if submission not in heard]
    charged = [e for e in events if isinstance(e, JobSucceeded | VideoGifted | SubmissionFailed)]
    cost = N_("The provider has not told what submission %(n)s cost.")
    found += [(cost, e.submission) for e in charged if e.charged_milli is None and e.submission in tasks]
    if row is None:
        found.append((N_("The read model does not know the job yet."), 0))
    elif row["unknown_sends"]:
        found.append((N_("%(n)s messages may have come to the chat twice."), int(row["unknown_sends"])))
    return found


ROUTES = (Route("GET", "/jobs", jobs), Route("GET", "/jobs/{job}", job))
