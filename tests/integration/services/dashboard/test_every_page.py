"""Every page: its numbers lead to the events they are made of, and no text of an outsider is markup."""

import random
import re
from html import unescape
from urllib.parse import quote, urlencode

from yarl import URL

from ledger.log.ledger import Ledger
from ledger.postgres import Connection, Pool
from ledger.system.commands import PauseSales
from services.dashboard.actions import ACTIONS
from services.dashboard.pages import ROUTES
from services.dashboard.routes import Role
from services.platform.database import reading_pool
from services.platform.settings import Settings
from tests.support.dashboard import Client, open_pages
from tests.support.dashboard_world import HOSTILE, Page, World, make_world, measured_of, texts_of

FOLLOWED = 200
MORE = (
    "/people/poor", "/people/a0?version=9", "/people/a0?at=2026-01-01", "/payments?state=flagged",
    "/payments/flagged", "/audit/actions?actor=account:a1", "/audit/exceptions?above=50",
    "/audit/access?account=poor", "/search?q=yk-spent", "/search?q=nothing", "/events?type=CreditsGranted",
)  # fmt: skip
SHOW_HOSTILE = (
    "/people/poor", "/money", "/audit", "/audit/actions?actor=account:a1", "/audit/exceptions",
    "/audit/access",
)  # fmt: skip
NASTY = (
    "'", "'; DROP TABLE events; --", '"', "\\", "a\r\nSet-Cookie: x=1", "\u202e", "9" * 30, "-1", "0",
    "1e9", "../..", "{{7*7}}", "%s", "%", "a=b=c", "1 OR 1=1", "2026-13-45", "9999-12-31T23:59:59-23:59",
    "0001-01-01", "1971-01-01", "٣", "²", HOSTILE, "\x00", "\ufffe", "x" * 300, "NaN", "lot:" + "9" * 25,
    "spendable:0", "csv",
)  # fmt: skip
ARGUMENTS = (
    "q", "at", "version", "day", "state", "provider", "before", "actor", "above", "from", "to", "account",
    "position", "type", "stream", "where", "measure", "is", "since_us", "until_us", "form", "job",
    "payment", "reason",
)  # fmt: skip
AT_ONCE, VALUES_EACH = 6, 8
PART = re.compile(r"({(\w+)(?::[^}]*)?})")


def addresses(world: World) -> list[str]:
    """Every page without arguments, its parts those of the world; and some more."""
    found = []
    for route in ROUTES:
        parts = {part: world.part(name) for part, name in PART.findall(route.path)}
        path = route.path
        for part, value in parts.items():
            path = path.replace(part, value or part)
        if route.method == "GET" and all(parts.values()):
            found.append(path)
    return [*dict.fromkeys((*found, *MORE))]


async def pages_of(client: Client, world: World) -> dict[str, str]:
    """Address → HTML."""
    found = {}
    for address in addresses(world):
        async with client.get(address, allow_redirects=False) as response:
            assert response.status < 500, (address, await response.text())
            if response.content_type == "text/html":
                found[address] = await response.text()
    return found


async def test_every_number_leads_to_its_events(
    pool: Pool, ledger: Ledger, settings: Settings, owner: Connection
) -> None:
    world = await make_world(ledger, owner, pool)
    log = await ledger.read.events_after(0, 100_000)
    async with open_pages(pool, ledger, settings) as client:
        pages = await pages_of(client, world)
        figures, wrong = [], []
        for address, html in pages.items():
            page = Page(html)
            wrong += [f"{address}: a number that is no figure: {text}" for text in page.stray]
            wrong += [f"{address}: a figure without a source: {text}" for text in page.unsourced]
            wrong += [f"{address}: an outsider's text is markup: {text}" for text in texts_of(html)]
            figures += [(address, href) for href in page.figures]
        assert not wrong, "\n".join(wrong)
        for address in SHOW_HOSTILE:
            assert HOSTILE in unescape(pages[address]), f"{address} does not show what was written"
        random.Random(16).shuffle(figures)
        assert len({href for _, href in figures}) >= FOLLOWED
        for address, href in dict((href, (at, href)) for at, href in figures[: 2 * FOLLOWED]).values():
            value, said = measured_of(log, href)
            assert str(value) == said, f"{address}: {href}: the events make {value}"
            async with client.get(href) as response:
                text = await response.text()
            assert "as the page said" in text or "Look further back" in text, f"{address}: {href}"
            assert "the page said " not in text.replace("as the page said", ""), f"{address}: {href}"


async def test_no_page_offers_what_its_reader_may_not_do(
    pool: Pool, ledger: Ledger, settings: Settings, owner: Connection
) -> None:
    world = await make_world(ledger, owner, pool)
    await ledger.execute(PauseSales("account:a1", "why"), key="pause")
    least = {re.compile(PART.sub("[^?]+", action.path) + "([?].*)?"): action.least for action in ACTIONS}
    offered = set()
    for role in (Role.auditor, Role.operator, Role.owner):
        async with open_pages(pool, ledger, settings, role=role) as client:
            for address, html in (await pages_of(client, world)).items():
                for href in re.findall(r'href="(/[^"]+)"', html):
                    needed = [one for path, one in least.items() if path.fullmatch(href)]
                    assert all(one <= role for one in needed), f"{address} offers {href} to {role.name}"
                    offered |= {(role, href) for _ in needed}
    assert {(Role.owner, "/sales/resume"), (Role.operator, "/people/a0/grant")} <= offered


async def test_no_argument_is_an_error_of_ours(
    pool: Pool, ledger: Ledger, settings: Settings, owner: Connection
) -> None:
    world, chance = await make_world(ledger, owner, pool), random.Random(16)
    async with open_pages(pool, ledger, settings) as client:
        for route in ROUTES:
            for value in chance.sample(NASTY, VALUES_EACH):
                asked = dict.fromkeys(chance.sample(ARGUMENTS, AT_ONCE), value)
                path = route.path
                for part, name in PART.findall(path):
                    known = world.part(name) if chance.random() < 1 / 2 else None
                    path = path.replace(part, quote(known or value, safe=""))
                address = URL(f"{path}?{urlencode(asked)}", encoded=True)
                data = asked if route.method == "POST" else None
                async with client.request(
                    route.method, address, data=data, allow_redirects=False
                ) as response:
                    endless = response.content_type == "text/event-stream"
                    said = "" if endless else (await response.read()).decode(errors="replace")
                    assert response.status < 500, (route, address, said[:500])
                    assert "x=1" not in response.headers.get("Set-Cookie", "")
                    assert response.content_type != "text/html" or not [*texts_of(said)], address


async def test_the_dashboards_own_login_reads_every_page(
    pool: Pool, ledger: Ledger, own: Settings, owner: Connection
) -> None:
    world = await make_world(ledger, owner, pool)
    async with await reading_pool(own, "test") as reading, open_pages(reading, ledger, own) as client:
        assert await reading.fetchval("SELECT session_user") == "neurocards_dashboard"
        await pages_of(client, world)
        for what in ("events", "payments", "exceptions", "trial-balance", "statement?account=a0"):
            async with client.get(f"/downloads/{what}") as response:
                assert response.status == 200 and await response.read(), what
