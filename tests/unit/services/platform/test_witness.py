"""What outside companies' Dates tell: of each client, of good and bad ones, of several, for ten minutes."""

import asyncio
from email.utils import formatdate

import pytest
from aiogram.exceptions import AiogramError
from aiohttp import web
from multidict import CIMultiDict
from pydantic import SecretStr

from ledger.log import clock
from services.adapters.kie.gateway import KieHttp
from services.adapters.openai.client import open_client
from services.adapters.telegram.client import create_bot
from services.adapters.yookassa.errors import YooKassaError
from services.adapters.yookassa.transport import Address, Transport
from services.platform import ask_time, witness
from services.platform.settings import load_settings
from services.platform.witness import WITNESS, Witness

NOON_S = 1_800_014_400
NOON = "Fri, 15 Jan 2027 12:00:00 GMT"


@pytest.fixture
def uptime(monkeypatch):
    at = {"us": 5_000_000}
    monkeypatch.setattr(clock, "uptime_us", lambda: at["us"])
    monkeypatch.setattr(witness, "uptime_us", lambda: at["us"])
    return at


@pytest.fixture
def nobody(monkeypatch):
    """The process has heard nothing yet."""
    monkeypatch.setattr(WITNESS, "_seen", {})


def test_a_date_is_carried_on_for_ten_minutes(uptime):
    told = Witness()
    assert told.now_us() is None
    told.see("kie", CIMultiDict(date=NOON))
    assert told.now_us() == NOON_S * 10**6 + 500_000
    uptime["us"] += 600_000_000
    assert told.now_us() == (NOON_S + 600) * 10**6 + 500_000
    uptime["us"] += 1
    assert told.now_us() is None


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"Date": ""}, {"Date": "now"}, {"Date": "1800014400"}, {"Date": f"{NOON}, {NOON}"},
        {"Date": "Fri, 15 Jan 2027 12:00:00 +0500"}, {"Date": "Fri, 32 Jan 2027 12:00:00 GMT"},
        {"Date": "Fri, 15 Foo 2027 12:00:00 GMT"}, {"Date": "Fri, 15 Jan 2027 25:00:00 GMT"},
        {"Date": "Fri, ١٥ Jan 2027 12:00:00 GMT"}, {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Date": "Fri, 31 Dec 9999 23:59:59 GMT"}, {"Date": "Fri, 15 Jan 0000 12:00:00 GMT"},
        {"Date": "x" * 100_000}, {"Date": NOON, "Age": "0"},
    ],
)  # fmt: skip
def test_what_is_no_time_is_passed_over(headers):
    told = Witness()
    told.see("kie", CIMultiDict(headers))
    assert told.now_us() is None


def test_one_company_of_three_is_outvoted(uptime):
    told = Witness()
    told.see("kie", CIMultiDict(Date=formatdate(NOON_S + 86_400, usegmt=True)))
    told.see("openai", CIMultiDict(Date=formatdate(NOON_S + 1, usegmt=True)))
    told.see("telegram", CIMultiDict(Date=NOON))
    assert told.now_us() == (NOON_S + 1) * 10**6 + 500_000


def test_after_a_pause_of_the_machine_only_what_is_heard_anew_counts(uptime):
    """Its uptime clock stood still, so that what was heard before is late by the pause."""
    told = Witness()
    for company in ("kie", "openai", "telegram"):
        told.see(company, CIMultiDict(Date=NOON))
    uptime["us"] += 60_000_000
    told.see("telegram", CIMultiDict(Date=formatdate(NOON_S + 120, usegmt=True)))
    assert told.now_us() == (NOON_S + 60) * 10**6 + 500_000, "a minute is no pause"
    told.see("telegram", CIMultiDict(Date=formatdate(NOON_S + 7200, usegmt=True)))
    assert told.now_us() == (NOON_S + 7200) * 10**6 + 500_000
    told.see("telegram", CIMultiDict(Date=NOON))
    told.see("kie", CIMultiDict(Date=formatdate(NOON_S + 1, usegmt=True)))
    told.see("telegram", CIMultiDict(Date=formatdate(NOON_S - 7200, usegmt=True)))
    told.see("openai", CIMultiDict(Date=NOON))
    assert told.now_us() == NOON_S * 10**6 + 500_000, (
        "no pause makes a clock go back: who says so is outvoted"
    )


async def test_every_client_tells(nobody):
    """Over HTTP, also by an answer that is an error."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=400, headers={"Date": NOON})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    settings = load_settings(
        **{f"{name}_api_url": url for name in ("kie", "telegram", "yookassa")}, openai_base_url=url
    )
    try:
        await ask_time.ask_time(settings)
        assert WITNESS._seen.keys() == {"yookassa"}, "one is enough"
        WITNESS._seen.clear()
        for http in (kie := KieHttp.open(use_proxies=False)).once, kie.kept:
            await http.get(url)
            assert WITNESS._seen.pop("kie").told_us == NOON_S * 10**6 + 500_000
        await kie.close()
        async with open_client(settings) as openai:
            await openai._client.get(url)
        bot = create_bot(settings)
        with pytest.raises(AiogramError):
            await bot.get_me()
        await bot.session.close()
        shop = Transport(Address(url, "1", SecretStr("s"), 5, 5, False))
        with pytest.raises(YooKassaError):
            await asyncio.to_thread(shop.request, "GET", "/x")
        shop.close()
        assert WITNESS._seen.keys() == {"openai", "telegram", "yookassa"}
    finally:
        await runner.cleanup()


async def test_companies_out_of_reach_tell_nothing(nobody):
    gone = "http://127.0.0.1:1"
    settings = load_settings(
        **{f"{name}_api_url": gone for name in ("kie", "telegram", "yookassa")}, openai_base_url=gone
    )
    await ask_time.ask_time(settings)
    assert WITNESS.now_us() is None
