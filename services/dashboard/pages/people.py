"""`/search`, `/people` and `/people/{account}`: who they are, and every credit as of any moment."""

from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from events.account import AccountOpened
from events.codec import decode_data
from events.stream_names import account_stream
from ledger.accounts.lots import Lot
from ledger.accounts.state import AccountState
from ledger.log.snapshots import newest
from projections.reports.balance_as_of import Row, balance_of, fold_account
from projections.reports.log_position import AsOf, LogPosition, locate
from projections.reports.statement import BEGINNING, Movement, Statement, statement_of
from services.dashboard.event_search import query
from services.dashboard.figures import Figure, Filter, price_of
from services.dashboard.routes import Role, Route
from services.dashboard.visit import Visit
from services.platform.catalogues import N_

PAGE_EVENTS: Final = 1200
"""Of one account; a longer one is folded from its snapshot, or else only downloaded."""
MOVEMENTS_SHOWN: Final = 100
SHOWN: Final = 50
ACTIVE_POSITIONS: Final = 1500
_PAGES: Final = {
    "account": "/people/{}",
    "job": "/jobs/{}",
    "payment": "/payments/{}",
    "position": "/events/{}",
    "promo": "/events?stream=promo-{}",
}
KINDS: Final = {
    "account": N_("account"),
    "job": N_("job"),
    "payment": N_("payment"),
    "position": N_("event"),
    "promo": N_("promo code"),
}
MOVEMENTS: Final = {
    "CreditsGranted": N_("credits granted"),
    "CreditsCharged": N_("charge"),
    "CreditsRefunded": N_("refund"),
    "CreditsRevoked": N_("revocation"),
    "CreditsRestored": N_("return"),
    "CreditsExpired": N_("expiry"),
}
_TELEGRAM_DIGITS_MAX: Final = 18


class Line(msgspec.Struct, frozen=True):
    """A movement of a statement, its credits and the balance after it."""

    movement: Movement
    amount: Figure
    balance: Figure


class AccountAt(msgspec.Struct, frozen=True):
    """An account at a moment; `lines` the newest first, `version` the number of its last event.

    `unbooked`: something has expired and stands in no event yet.
    """

    balance: Figure
    unbooked: bool
    lots: list[tuple[Lot, Figure]]
    lines: tuple[Line, ...]
    left_out: int
    version: int


async def search(visit: Visit) -> web.Response:
    """Where the one thing of this name is, or all of them."""
    asked = visit.arg("q")
    found = [
        (kind, name, _PAGES[kind].format(quote(name, safe=""))) for kind, name in await _named(visit, asked)
    ]
    if len(found) == 1:
        raise web.HTTPFound(found[0][2])
    status = 200 if found or not asked else 404
    return await visit.render("search.html", asked=asked, found=found, kinds=KINDS, status=status)


async def _named(visit: Visit, asked: str) -> list[tuple[str, str]]:
    if not asked:
        return []
    digits = asked.isascii() and asked.isdigit() and len(asked) <= _TELEGRAM_DIGITS_MAX
    rows = await visit.pool.fetch(query("named"), asked, int(asked) if digits else None, SHOWN)
    found = [(row["kind"], row["name"]) for row in rows]
    if digits and visit.user.role >= Role.operator:  # an auditor's reason is for an account that is named
        account = await visit.pool.fetchval(query("account_of_telegram"), int(asked))
        if account is not None and await visit.reveal(account):
            found.insert(0, ("account", account))
    return found


async def people(visit: Visit) -> web.Response:
    """Accounts of the newest events."""
    rows = await visit.pool.fetch(query("people_active"), ACTIVE_POSITIONS, SHOWN)
    return await visit.render("people.html", shows=("balances",), people=[_active(row) for row in rows])


def _active(row: Any) -> dict[str, Any]:
    of = Filter(stream=account_stream(row["account"]), position=row["position"])
    return dict(row) | {
        "balance": Figure(row["balance"], "credits", of=of, measure="effect"),
        "videos": Figure(row["charges"], of=msgspec.structs.replace(of, types=("CreditsCharged",))),
    }


async def person(visit: Visit) -> web.Response:
    """One account, as of a moment; who it is, if that may be shown."""
    name = visit.part("account")
    ends = await visit.pool.fetch(query("account_ends"), account_stream(name))
    if not ends:
        return await visit.render("missing.html", status=404, what=name)
    at = await _moment(visit, account_stream(name))
    opened = decode_data(ends[0]["type"], ends[0]["data"])
    jobs = await visit.pool.fetch(query("jobs_of"), name, SHOWN)
    payments = await visit.pool.fetch(query("payments_of"), name, SHOWN)
    revealed = await visit.reveal(name)
    about = [name, *(row["job"] for row in jobs), *(row["payment"] for row in payments)]
    return await visit.render(
        "person.html",
        shows=("job_status", "payments"),
        name=name,
        at=at,
        opened=opened if isinstance(opened, AccountOpened) else None,
        opened_us=ends[0]["recorded_at_us"],
        newest=ends[-1]["version"],
        account=await account_at(visit, name, at, ends[-1]["version"]),
        jobs=[dict(row) | {"price": price_of(row)} for row in jobs],
        payments=[payment_row(row) for row in payments],
        messages=await visit.pool.fetch(query("messages_of"), about, SHOWN),
        movements=MOVEMENTS,
        revealed=revealed,
        telegram_id=await visit.pool.fetchval(query("telegram_id_of"), name) if revealed else None,
    )


async def _moment(visit: Visit, stream: str) -> LogPosition:
    version = visit.int_arg("version")
    wanted = visit.moment("at")
    if version is not None:
        wanted = AsOf(position=await visit.pool.fetchval(query("position_of_version"), stream, version) or 0)
    return await locate(visit.pool, wanted)


async def account_at(visit: Visit, name: str, at: LogPosition, newest_version: int) -> AccountAt | None:
    """The account at a moment; None when that takes more events than a page may read."""
    stream, version, state = account_stream(name), 0, AccountState()
    if newest_version > PAGE_EVENTS:
        version, state = await newest(visit.pool, stream)
        if (
            version
            and not await visit.pool.fetchval(query("position_of_version"), stream, version) <= at.position
        ):
            version, state = 0, AccountState()
    found = await visit.pool.fetch(query("account_rows"), stream, version, PAGE_EVENTS + 1, at.position)
    if len(found) > PAGE_EVENTS:
        return None
    rows: list[Row] = [tuple(row) for row in found]
    made = statement_of(name, rows, BEGINNING, at, state)
    of = Filter(stream=stream, position=at.position)
    after = balance_of(name, fold_account(rows, state), at)
    return AccountAt(
        Figure(after.balance, "credits", of=of, measure=f"spendable:{at.time_us}"),
        after.unbooked > 0,
        [(lot, Figure(lot.amount, "credits", of=of, measure=f"lot:{lot.number}")) for lot in after.lots],
        tuple(reversed(_lines(made, of)[-MOVEMENTS_SHOWN:])),
        max(len(made.movements) - MOVEMENTS_SHOWN, 0),
        rows[-1][1] if rows else version,
    )


def _lines(made: Statement, of: Filter) -> list[Line]:
    """Movements with figures.

    A balance is that of all events up to there, but for one after an expiry that was booked later: expiries
    stand where they took effect.
    """
    booked = sorted(movement.position for movement, _ in made.movements if movement.position is not None)
    lines, seen, last = [], 0, 0
    for movement, balance in made.movements:
        after = Figure(balance, "credits", source="statement", at_us=movement.at_us)
        amount = Figure(movement.amount, "credits", source="statement", at_us=movement.at_us)
        if movement.position is not None:
            seen, last = seen + 1, max(last, movement.position)
            own = Filter(positions=(movement.position,))
            amount = Figure(movement.amount, "credits", of=own, measure="effect")
            if booked[seen - 1] == last:
                until = msgspec.structs.replace(of, position=last)
                after = Figure(balance, "credits", of=until, measure="effect")
        lines.append(Line(movement, amount, after))
    return lines


def payment_row(row: Any) -> dict[str, Any]:
    """A payment of the read model, its money as figures."""

    def money(name: str, measure: str, *types: str) -> Figure:
        of = Filter(types=types, payment=row["payment"], position=row["position"])
        return Figure(row[name], "minor", of=of, measure=measure, currency=row["currency"])

    return dict(row) | {
        "ordered": money("amount_minor", "money", "PaymentOrdered"),
        "paid": money("paid_minor", "paid"),
        "refunded": money("refunded_minor", "returned"),
    }


ROUTES = (
    Route("GET", "/search", search),
    Route("GET", "/people", people),
    Route("GET", "/people/{account}", person),
)
