"""`/errors`: failures by class, model and hour, and by cause, with the newest sentences."""

import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import asyncpg
from aiohttp import web

from ledger.postgres import DATABASE_ERRORS
from ledger.sql import load_queries
from projections.models.statistics import HOUR_US, hour_of
from services.dashboard.figures import Figure, Filter
from services.dashboard.routes import Role, Route
from services.dashboard.visit import Visit
from services.generation.error_classes import POLICIES

query = load_queries("services.dashboard")

HOURS: Final = {"24": 24, "72": 72}
COLUMNS: Final = 24
ROWS: Final = 700
"""Of error_stats, at most."""
SAMPLE: Final = 80
"""Failed jobs of one class that are grouped, at most."""
COUNTED: Final = {"jobs": "JobFailed", "submissions": "SubmissionFailed"}
STEPS: Final = 4


async def words_of(visit: Visit, refs: Iterable[str], account: str = "") -> dict[str, str] | None:
    """Sentences of companies by references; None: not for this person, or it cannot be noted.

    An auditor sees those of one `account`, with a reason.
    """
    wanted = [ref for ref in dict.fromkeys(refs) if ref]
    if visit.user.role < Role.operator and not (account and await visit.reveal(account)):
        return None
    noted = wanted, visit.user.actor, visit.place
    try:
        rows = await visit.context.ledger.read.pool.fetch(query("words"), *noted) if wanted else []
    except DATABASE_ERRORS:
        return None
    return {row["ref"]: row["words"].partition("\n")[0] for row in rows}


async def errors(visit: Visit) -> web.Response:
    hours = HOURS[visit.choice("hours", HOURS, "24") or "24"]
    counted = visit.choice("count", COUNTED, "jobs") or "jobs"
    span_us = hours // COLUMNS * HOUR_US
    begin_us = hour_of(time.time_ns() // 1000) + HOUR_US - hours * HOUR_US
    async with visit.pool.acquire() as reader, reader.transaction(isolation="repeatable_read", readonly=True):
        cells = await reader.fetch(query("heat"), begin_us, span_us, ROWS)
        groups = await reader.fetch(query("causes"), list(POLICIES), begin_us, SAMPLE)
        readers = await reader.fetch(query("read_models"))
    place = next(r for r in readers if r["name"] == "error_stats" and r["active"])
    cut = sum(cell["read"] for cell in cells) >= ROWS
    at_us = place["next_at_us"] or time.time_ns() // 1000
    counts = Counts(counted, begin_us, span_us, place["position"], at_us, cut)
    words = await words_of(visit, [*(cell["ref"] for cell in cells), *(group["ref"] for group in groups)])
    return await visit.render(
        "errors.html", shows=("error_stats", "job_status"),
        hours=hours, counted=counted, begin_us=begin_us, span_us=span_us, columns=COLUMNS,
        lines=counts.lines(cells), totals=counts.totals(cells), cut=counts.cut, place=place, sample=SAMPLE,
        groups=groups, words=words, parks={name for name, policy in POLICIES.items() if policy.parks},
        topics="error_stats job_status",
    )  # fmt: skip


class Counts(NamedTuple):
    """Failures of the hours since `begin_us`; `cut`: their oldest are not all there."""

    counted: str
    begin_us: int
    span_us: int
    position: int
    at_us: int
    cut: bool

    def figure(self, number: int, error_class: str, model: str = "", span: int | None = None) -> Figure:
        if self.cut:
            return Figure(number, source="error_stats", at_us=self.at_us)
        begin_us = self.begin_us + (span or 0) * self.span_us
        until_us = None if span is None else begin_us + self.span_us
        of = Filter(
            (COUNTED[self.counted],), since_us=begin_us, until_us=until_us, position=self.position,
            where=(("failure.error_class", error_class),), counted=(("model", model),) if model else (),
        )  # fmt: skip
        return Figure(number, of=of)

    def lines(self, cells: list[asyncpg.Record]) -> list[dict[str, Any]]:
        """By class and model, the most first: figures by column with a shade up to STEPS, newest words."""
        lines: dict[tuple[str, str], dict[str, Any]] = {}
        most = max((cell[self.counted] for cell in cells), default=0)
        for cell in cells:
            key = cell["error_class"], cell["model"]
            new = {"counts": {}, "sum": 0, "refunded": 0, "last_at_us": 0, "code": "", "ref": ""}
            line = lines.setdefault(key, {"error_class": key[0], "model": key[1], **new})
            if number := cell[self.counted]:
                shade = -(-STEPS * number // most)
                line["counts"][cell["span"]] = self.figure(number, *key, cell["span"]), shade
            line["sum"] += number
            line["refunded"] += cell["refunded"]
            if cell["last_at_us"] > line["last_at_us"]:
                line |= {name: cell[name] for name in ("last_at_us", "code", "ref")}
        for key, line in lines.items():
            refunded = Figure(line["refunded"], "credits", source="error_stats", at_us=self.at_us)
            line |= {"total": line["sum"], "sum": self.figure(line["sum"], *key), "refunded": refunded}
        return sorted(lines.values(), key=lambda line: (-line["total"], line["error_class"], line["model"]))

    def totals(self, cells: list[asyncpg.Record]) -> dict[str, Figure]:
        """Sums by class over all models."""
        sums: dict[str, int] = {}
        for cell in cells:
            sums[cell["error_class"]] = sums.get(cell["error_class"], 0) + cell[self.counted]
        return {name: self.figure(n, name) for name, n in sorted(sums.items(), key=lambda one: -one[1])}


ROUTES = (Route("GET", "/errors", errors),)
