"""`/`: what needs attention, then today beside yesterday and the same weekday.

Days are the read model `daily`'s, in UTC; each figure leads to its events up to that model's position.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from aiohttp import web
from redis.exceptions import RedisError

from ledger.sql import load_queries
from projections.models.statistics import DAY_US, Day, day_name
from services.dashboard.attention import Known, causes
from services.dashboard.figures import SPAN, Figure, Filter, Unit
from services.dashboard.routes import Route
from services.dashboard.visit import Visit
from services.generation.catalogue import load_catalogue
from services.generation.error_classes import POLICIES
from services.generation.provider_limits import ProviderAccount, ProviderRates, look
from services.operations.models import model_rows
from services.operations.runner import query as operations_query
from services.operations.statistics import Range, days
from services.platform.catalogues import N_
from services.platform.disks import free_bytes
from services.platform.errors import explain
from services.recovery.backup_runs import backup_status

query = load_queries("services.dashboard")

PARKED: Final = tuple(name for name, policy in POLICIES.items() if policy.parks)
SHOWN_DAYS: Final = 14
COST_DAYS: Final = 7
BESIDE: Final = (0, 1, 7)
"""Today, yesterday, the same weekday."""
TIMED_JOBS: Final = 400
REDIS_S: Final = 1.0


class Tile(NamedTuple):
    """Title (msgid), figures of the days BESIDE or one, and address.

    `test` money is not among them.
    """

    title: str
    figures: list[Figure]
    href: str
    test: Figure | None = None


async def accounts_of(visit: Visit) -> tuple[list[ProviderAccount] | None, int, str | None]:
    """Provider accounts, submissions that wait, and why Redis is silent."""
    if visit.context.redis is None:
        return None, 0, "no REDIS_URL"
    try:
        async with asyncio.timeout(REDIS_S):
            return *await look(visit.context.redis, ProviderRates().per_s), None
    except TimeoutError:
        return None, 0, f"no answer within {REDIS_S:g} s"
    except (RedisError, OSError) as error:
        return None, 0, explain(error) or repr(error)


async def home(visit: Visit) -> web.Response:
    accounts, _, redis = await accounts_of(visit)
    async with visit.pool.acquire() as reader, reader.transaction(isolation="repeatable_read", readonly=True):
        row = await reader.fetchrow(query("attention"), PARKED)
        assert row is not None
        now_us = row["now_us"]
        today_us = now_us - now_us % DAY_US
        begin_us = today_us - (SHOWN_DAYS - 1) * DAY_US
        found = {day.day: day for day in await days(reader, Range(begin_us, now_us + 1))}
        timed = await reader.fetch(
            query("video_times"), [today_us - ago * DAY_US for ago in BESIDE], TIMED_JOBS
        )
        readers = await reader.fetch(query("read_models"))
        alerts = await reader.fetch(query("alerts"))
        backups = await backup_status(reader)
    settings = visit.context.settings
    known = Known(
        row, readers, await model_rows(visit.pool), alerts, accounts, redis,
        (await visit.context.ledger.read.sales()).closed(now_us),
        await asyncio.to_thread(free_bytes, settings.data_dir),
        min(model.provider_credits for model in load_catalogue().models if model.enabled),
        settings.verify_every_seconds > 0,
        len(await visit.pool.fetch(operations_query("open_proposals"))), backups.concern,
    )  # fmt: skip
    daily = next(r for r in readers if r["name"] == "daily" and r["active"])
    history = [
        found.get(name) or Day(name) for name in (day_name(today_us - n * DAY_US) for n in range(SHOWN_DAYS))
    ]
    board = Board(history, today_us, daily["position"], daily["next_at_us"] or now_us)
    tiles = [*board.tiles(timed), *board.provider(accounts, now_us)]
    return await visit.render(
        "home.html",
        causes=causes(known),
        tiles=tiles,
        board=board,
        verified=row,
        topics="log daily job_times models",
    )


class Counted(NamedTuple):
    """Tile of a field of `Day`: `measure` of these events."""

    title: str
    field: str
    href: str
    types: tuple[str, ...]
    measure: str = "count"
    unit: Unit = "count"
    where: tuple[tuple[str, str], ...] = ()


_COST: Final = ("JobSucceeded", "VideoGifted", "SubmissionFailed")
_FIRST: Final = (("number", "1"), ("requeue_of", ""))
_COUNTED: Final = (
    Counted(N_("Registrations"), "registrations", "/people", ("AccountOpened",)),
    Counted(N_("Orders"), "orders", "/jobs", ("JobQueued",), where=_FIRST),
    Counted(N_("Videos"), "videos", "/jobs?state=succeeded", ("JobSucceeded",)),
    Counted(N_("Failed jobs"), "failures", "/errors", ("JobFailed",)),
    Counted(N_("Credits refunded"), "refunded", "/errors", ("CreditsRefunded",), "amount", "credits"),
    Counted(N_("Provider cost, its credits"), "cost_milli", "/money", _COST, "cost", "milli"),
)


class Board(NamedTuple):
    """Tiles of days, `history` the newest first. `position`: up to there they count; all until `at_us`."""

    history: list[Day]
    today_us: int
    position: int
    at_us: int

    def events(self, ago: int, *types: str, where: tuple[tuple[str, str], ...] = ()) -> Filter:
        """Events of one day."""
        begin_us = self.today_us - ago * DAY_US
        return Filter(
            types, since_us=begin_us, until_us=begin_us + DAY_US, position=self.position, where=where
        )

    def tiles(self, timed: Iterable[Any]) -> Iterable[Tile]:
        for one in _COUNTED:
            figures = []
            for ago in BESIDE:
                day, events = self.history[ago], self.events(ago, *one.types, where=one.where)
                value = None if one.field == "cost_milli" and day.untold else getattr(day, one.field)
                figures.append(Figure(value, one.unit, events, one.measure))
            yield Tile(one.title, figures, one.href)
        beside = [self.history[ago] for ago in BESIDE]
        shares = [100 * d.videos / (d.videos + d.failures) if d.videos + d.failures else None for d in beside]
        ended = [self.events(ago, "JobSucceeded", "JobFailed") for ago in BESIDE]
        success = [Figure(n, "percent", one, "success") for n, one in zip(shares, ended, strict=True)]
        yield Tile(N_("Success"), success, "/errors")
        percentiles = {row["day"]: row["percentiles"] or (None, None) for row in timed}
        for n, title in enumerate((N_("Time to video, median"), N_("Time to video, 95th percentile"))):
            found = [percentiles[self.today_us - ago * DAY_US][n] for ago in BESIDE]
            yield Tile(title, [_took(text) for text in found], "/jobs?state=succeeded")
        for currency in sorted({"RUB", *(m.currency for day in beside for m in day.money)}):
            yield self._money(N_("Received"), currency, "received_minor", "PaymentSucceeded")
            yield self._money(N_("Sent back"), currency, "returned_minor", "PaymentRefunded")

    def _money(self, title: str, currency: str, field: str, event: str) -> Tile:
        """Money of credited payments; of test payments today's is told apart."""

        def figure(ago: int, test: bool) -> Figure:
            all_money = (m for m in self.history[ago].money if (m.currency, m.test) == (currency, test))
            of = self.events(ago, event, where=(("currency", currency),))
            of = msgspec.structs.replace(of, counted=(("test", str(test).lower()),))
            return Figure(sum(getattr(m, field) for m in all_money), "minor", of, "money", currency=currency)

        return Tile(title, [figure(ago, False) for ago in BESIDE], "/money", figure(0, True))

    def provider(self, accounts: Sequence[ProviderAccount] | None, now_us: int) -> Iterable[Tile]:
        """Balance, and how long it lasts at what the last days cost."""
        read = [(a.credits, a.read_s or 0) for a in accounts or () if a.credits is not None]
        balance = sum(credits for credits, _ in read) if read else None
        at_us = now_us - int(1e6 * max(age_s for _, age_s in read)) if read else None
        last = self.history[1 : 1 + COST_DAYS]
        told = 0 if any(day.untold for day in last) else sum(day.cost_milli for day in last) / COST_DAYS
        lasts = balance / told * 1000 * DAY_US / 1e6 if balance is not None and told else None
        of, href = N_("balance beside the cost of the last 7 days"), "/machinery#provider"
        shown = Figure(balance, source="Redis", at_us=at_us)
        yield Tile(N_("Provider balance, its credits"), [shown], href)
        yield Tile(N_("The balance lasts"), [Figure(lasts, "seconds", source=of, at_us=at_us)], href)


def _took(text: str | None) -> Figure:
    """The time of one job, from "µs job"."""
    us, _, job = (text or "").partition(" ")
    of = Filter(("JobQueued", "JobSucceeded"), job=job)
    return Figure(int(us) / 1e6 if us else None, "seconds", of, SPAN)


ROUTES = (Route("GET", "/", home),)
