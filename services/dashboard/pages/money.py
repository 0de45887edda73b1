"""`/money` and `/payments`: the books, the provider's book, prices, and each payment's way."""

import time
from collections import defaultdict
from datetime import date
from typing import Any, Final

from aiohttp import web

from projections.models.payments import State
from projections.models.statistics import DAY_US, day_name
from projections.reports.explain import explain
from services.dashboard.event_search import query
from services.dashboard.figures import CREDIT_TYPES, Figure, Filter
from services.dashboard.pages.people import payment_row
from services.dashboard.routes import Route
from services.dashboard.visit import BadArgumentError, Visit
from services.generation.catalogue import load_catalogue
from services.payments.packages import load_packages
from services.platform.catalogues import N_

PAYMENTS_LOOKED_AT: Final = 300
SHOWN: Final = 100
VIDEOS_LOOKED_AT: Final = 20
STATES: Final[tuple[str, ...]] = State.__args__  # type: ignore[attr-defined]
BOOKS: Final = (
    (N_("issued"), "booked", ("CreditsGranted",)),
    (N_("spent on videos, less what came back"), "booked", ("CreditsCharged", "CreditsRefunded")),
    (N_("taken back, less what was returned"), "booked", ("CreditsRevoked", "CreditsRestored")),
    (N_("expired"), "booked", ("CreditsExpired",)),
    (N_("in users' accounts"), "effect", CREDIT_TYPES),
)


async def money(visit: Visit) -> web.Response:
    """Trial balance of a day, reconciliation, prices and costs."""
    day = _day(visit)
    row = await visit.pool.fetchrow(query("books_of_days"), day)
    assert row is not None
    end_us = (date.fromisoformat(day) - date(1970, 1, 1)).days * DAY_US + DAY_US
    books = [
        (
            name,
            Figure(
                row[n],
                "credits",
                of=Filter(types=types, until_us=end_us, position=row["position"]),
                measure=measure,
            ),
        )
        for n, (name, measure, types) in enumerate(BOOKS)
    ]
    total = sum(row[n] for n in range(len(BOOKS)))
    books.append((N_("total"), Figure(total, "credits", source="daily", at_us=row["updated_us"])))
    return await visit.render(
        "money.html",
        shows=("daily",),
        day=day,
        books=books,
        sold=_sold(row["sold"], end_us, row["position"]),
        comparisons=[_comparison(row) for row in await visit.pool.fetch(query("comparisons"), SHOWN)],
        differences=[_difference(row) for row in await visit.pool.fetch(query("differences"), SHOWN)],
        packages=_packages(visit),
        models=await _models(visit),
    )


def _day(visit: Visit) -> str:
    text = visit.arg("day") or day_name(time.time_ns() // 1000)
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise BadArgumentError("day", "a day like 2026-11-30 is wanted") from None


def _sold(credits: int, end_us: int, position: int) -> Figure:
    of = Filter(types=("CreditsGranted",), until_us=end_us, position=position, where=(("kind", "purchase"),))
    return Figure(credits, "credits", of=of, measure="effect")


def _comparison(row: Any) -> dict[str, Any]:
    counts = {
        name: Figure(
            row[name], source=f"comparison with {row['provider']}", at_us=row["ended_us"] or row["began_us"]
        )
        for name in ("payments", "refunds", "differences", "open")
    }
    return dict(row) | counts


def _difference(row: Any) -> dict[str, Any]:
    sums = {
        name: Figure(
            row[name],
            "minor",
            source=f"comparison with {row['provider']}",
            at_us=row["began_us"],
            currency=row["currency"] or "RUB",
        )
        for name in ("ours_minor", "theirs_minor")
    }
    return dict(row) | sums


def _packages(visit: Visit) -> list[dict[str, Any]]:
    """Packages, and what a video of the default model costs with each."""
    now_us, video = time.time_ns() // 1000, load_catalogue().default
    rows = []
    for package in load_packages(visit.context.settings):
        prices = [price for provider in ("yookassa", "stars") if (price := package.price(provider))]
        each = [price.per_video(package.credits, video.price_credits) for price in prices]
        row: dict[str, Any] = {
            "id": package.id,
            "credits": Figure(package.credits, "credits", source="packages", at_us=now_us),
        }
        for name, sums in (("prices", prices), ("per_video", each)):
            row[name] = [
                Figure(one.amount_minor, "minor", source="packages", at_us=now_us, currency=one.currency)
                for one in sums
            ]
        rows.append(row)
    return rows


async def _models(visit: Visit) -> list[dict[str, Any]]:
    """Each model's price and cost: by the catalogue, and as told for its newest videos."""
    models, now_us = load_catalogue().models, time.time_ns() // 1000
    told: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in await visit.pool.fetch(
        query("costs_told"), [model.slug for model in models], VIDEOS_LOOKED_AT
    ):
        told[row["model"]].append((row["position"], row["charged_milli"]))
    rows = []
    for model in models:
        costs = told[model.slug]
        of = Filter(positions=tuple(position for position, _ in costs))
        mean = round(sum(cost for _, cost in costs) / len(costs)) if costs else None
        rows.append(
            {
                "slug": model.slug,
                "paused": not model.enabled,
                "price": Figure(model.price_credits, "credits", source="catalogue", at_us=now_us),
                "cost": Figure(model.provider_credits * 1000, "milli", source="catalogue", at_us=now_us),
                "told": Figure(mean, "milli", of=of, measure="mean_cost"),
            }
        )
    return rows


async def payments(visit: Visit) -> web.Response:
    """The newest payments, by state; a window at a time."""
    before = visit.int_arg("before")
    state, provider = visit.choice("state", STATES), visit.choice("provider", ("yookassa", "stars"))
    rows = await visit.pool.fetch(query("payments_window"), before, PAYMENTS_LOOKED_AT)
    fits = [row for row in rows if state in ("", row["state"]) and provider in ("", row["provider"])]
    return await visit.render(
        "payments.html",
        shows=("payments",),
        payments=[payment_row(row) for row in fits[:SHOWN]],
        cut=len(fits) > SHOWN,
        next=rows[-1]["ordered_at"] - 1 if len(rows) == PAYMENTS_LOOKED_AT else None,
        state=state,
        provider=provider,
        states=STATES,
    )


async def payment(visit: Visit) -> web.Response:
    """One payment: what came, what it bought and what became of that."""
    name = visit.part("payment")
    row = await visit.pool.fetchrow(query("payment_named"), name)
    if row is None:
        return await visit.render("missing.html", status=404, what=name)
    chain = await explain(visit.pool, name)
    return await visit.render(
        "payment.html", shows=("payments",), name=name, payment=payment_row(row), chain=chain
    )


ROUTES = (
    Route("GET", "/money", money),
    Route("GET", "/payments", payments),
    Route("GET", "/payments/{payment}", payment),
)
