"""Failures, job times, results of days and styles, from the read models."""

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ledger.sql import load_queries
from projections.models.statistics import DAILY, HOUR_US, Day, Money, day_name, hour_of
from services.generation.catalogue import Catalogue

if TYPE_CHECKING:
    from ledger.postgres import Pool, Reader


query = load_queries("services.operations")

BEHIND_S: Final = 10.0
PROVIDER: Final = "KIE"
"""What the provider's credits are called in MARGIN_RATES."""
_MINOR: Final = {"XTR": 1, PROVIDER: 1}
"""How many of the smallest unit make one; 100 where it is not said."""
_COUNTS: Final = (
    "registrations", "orders", "jobs", "videos", "failures", "gifts",
    "granted", "sold", "charged", "refunded", "revoked", "expired",
)  # fmt: skip


class Range(msgspec.Struct, frozen=True):
    """Time range in epoch microseconds, end excluded."""

    begin_us: int
    end_us: int


async def behind(pool: "Pool", projection: str) -> int:
    """Number of events the projection lacks; 0 for a lag of only a moment."""
    row = await pool.fetchrow(query("projection_behind"), projection)
    return int(row["events"]) if row is not None and row["age_s"] > BEHIND_S else 0


async def errors(pool: "Pool", within: Range, *, hourly: bool) -> list[dict[str, Any]]:
    """Failures by class and model, the most jobs first; `hourly`: per hour. Hours count whole."""
    begin_us, end_us = hour_of(within.begin_us), hour_of(within.end_us + HOUR_US - 1)
    return [dict(row) for row in await pool.fetch(query("stats_errors"), begin_us, end_us, hourly)]


async def times(pool: "Pool", within: Range, model: str | None) -> list[dict[str, Any]]:
    """Seconds that ended jobs spent in each state, by model (None: all)."""
    rows = await pool.fetch(query("stats_times"), within.begin_us, within.end_us, model)
    names = ("p50_s", "p95_s", "p99_s", "max_s")
    return [
        {"model": row["model"], "part": row["part"], "jobs": row["jobs"]}
        | {name: us / 1e6 for name, us in zip(names, row["percentiles"], strict=True)}
        for row in rows
    ]


async def styles(pool: "Pool", within: Range) -> list[dict[str, Any]]:
    """Videos and ratings by style, the most videos first."""
    rows = await pool.fetch(query("stats_styles"), within.begin_us, within.end_us)
    return [dict(row) for row in rows]


async def days(pool: "Reader", within: Range) -> list[Day]:
    first, last = day_name(within.begin_us), day_name(within.end_us - 1)
    sql = query("stats_daily").format(columns=", ".join(DAILY.columns))
    return [DAILY.from_columns(row) for row in await pool.fetch(sql, first, last)]


def parse_rates(text: str) -> dict[str, Decimal]:
    """Parse MARGIN_RATES, e.g. `RUB=1,XTR=1.2`."""
    pairs = (part.split("=") for part in text.split(",") if part)
    return {currency: Decimal(rate) for currency, rate in pairs}


def sum_of(days: list[Day]) -> Day:
    total = Day("all")
    for day in days:
        counts = {name: getattr(total, name) + getattr(day, name) for name in _COUNTS}
        total = msgspec.structs.replace(
            total, **counts, money=total.money + day.money, made=total.made + day.made
        )
    return total


def day_row(day: Day, catalogue: Catalogue, rates: dict[str, Decimal]) -> dict[str, Any]:
    """A day for programs; money in the smallest unit.

    `success` is the share of ended jobs with a video. `provider_credits` is what the videos cost by today's
    catalogue, None when it lacks a model. `margin_minor`, in hundredths of what MARGIN_RATES are in, is None
    when a rate is missing.
    """
    ended = day.videos + day.failures
    cost = _cost(day, catalogue)
    revenue = {name: 0 for name in ("RUB", "XTR")} | _net(day.money)
    return {
        "day": day.day,
        **{name: getattr(day, name) for name in _COUNTS},
        "success": round(day.videos / ended, 4) if ended else None,
        "revenue_minor": revenue,
        "test_revenue_minor": _net(day.money, test=True),
        "provider_credits": cost,
        "margin_minor": None if cost is None else margin(revenue | {PROVIDER: -cost}, rates),
    }


def _net(money: tuple[Money, ...], *, test: bool = False) -> dict[str, int]:
    net: dict[str, int] = {}
    for each in money:
        if each.test == test:
            net[each.currency] = net.get(each.currency, 0) + each.received_minor - each.returned_minor
    return net


def _cost(day: Day, catalogue: Catalogue) -> int | None:
    cost = 0
    for made in day.made:
        model = catalogue.model(made.model)
        if model is None:
            return None
        cost += made.videos * model.provider_credits
    return cost


def margin(amounts: dict[str, int], rates: dict[str, Decimal]) -> int | None:
    """All amounts at these rates, rounded half up; None when a rate is missing."""
    total = Decimal(0)
    for currency, amount in amounts.items():
        if amount and currency not in rates:
            return None
        total += 100 * amount * rates.get(currency, Decimal(0)) / _MINOR.get(currency, 100)
    return int(total.quantize(Decimal(1), ROUND_HALF_UP)) if rates else None
