"""The events page: filters, bounded searches, the measure that a figure links to, and one event's hash."""

from events.stream_names import account_stream
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.dashboard.figures import Figure, Filter
from services.platform.settings import Settings
from tests.support.dashboard import open_pages, page
from tests.support.traffic import Traffic


async def test_a_figures_link_sums_its_events(
    pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic
) -> None:
    await traffic.open_accounts(1, credits=30)
    figure = Figure(
        30,
        "credits",
        of=Filter(types=("CreditsGranted",), stream=account_stream(traffic.accounts[0])),
        measure="effect",
    )
    wrong = Figure(31, "credits", of=figure.of, measure="effect")
    async with open_pages(pool, ledger, settings) as client:
        assert "as the page said" in await page(client, figure.href())
        assert "the page said 31" in await page(client, wrong.href())
        for address in (
            "/events?type=Nothing",
            "/events?position=-1",
            "/events?measure=x",
            "/events?stream=" + "a" * 300,
        ):
            await page(client, address, status=400)


async def test_an_event_shows_its_hash_computed_anew(
    pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic
) -> None:
    await traffic.open_accounts(1, credits=30)
    async with open_pages(pool, ledger, settings, locale="ru") as client:
        assert "тот же хеш" in await page(client, "/events/1")
        assert "Computed" not in await page(client, "/events/2")
        for address in ("/events/999999", "/events/x", "/events/-1", "/events/" + "9" * 30):
            await page(client, address, status=404)
