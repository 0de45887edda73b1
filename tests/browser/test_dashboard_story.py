"""The dashboard in a real browser: ways of owner, operator and auditor; `make screens` keeps pictures.

Everything a person meets is held to the same: nothing wider than the screen, no serious finding of axe, no
script that fails, nothing that the Content-Security-Policy had to stop.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.chat_page import browser_path
from tests.support.playing import Play
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import eventually

pytestmark = pytest.mark.browser

LOOKS: Final = {"desktop-light": (1280, 800, "light"), "phone-dark": (390, 844, "dark")}
PAGES: Final = (
    "/", "/errors", "/jobs", "/people", "/money", "/events", "/audit", "/machinery", "/operations",
    "/sessions",
)  # fmt: skip
GRAVE: Final = {"serious", "critical"}
KEPT: Final = {"home", "errors", "money", "machinery", "audit", "person", "job", "operation", "event"}
"""Pictures of docs/dashboard.md."""
WIDER: Final = """document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("main *")].filter(part => part.getBoundingClientRect().right > innerWidth)
    .map(part => part.outerHTML.slice(0, 120))"""


class Browser:
    """Pages of one person, each looked at as a whole."""

    def __init__(self, page: Any, look: str, base: str, broken: list[str]) -> None:
        self.page, self._look, self.base, self.broken = page, look, base, broken
        self._folder = Path(os.environ["SCREENS"]) if "SCREENS" in os.environ else None

    async def go(self, path: str, name: str = "") -> None:
        answer = await self.page.goto(self.base + path)
        assert answer.status == 200, (path, answer.status)
        await self.check(name)

    async def check(self, name: str = "") -> None:
        """What stands here fits the screen and can be read by everybody; kept as a picture."""
        await self.page.wait_for_load_state("load")
        wide = await self.page.evaluate(WIDER)
        assert wide == [], f"{self.page.url} is wider than the screen: {wide[:6]}"
        axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe is not installed")
        found = (await axe.Axe().run(self.page)).response["violations"]
        grave = [(v["id"], [n["html"][:150] for n in v["nodes"]]) for v in found if v["impact"] in GRAVE]
        assert grave == [], self.page.url
        if name in KEPT and self._folder:
            path = self._folder / f"dashboard-{name}-{self._look}.jpg"
            await self.page.screenshot(path=path, type="jpeg", quality=70)


@pytest.fixture
async def browser(play: Play, look: str, role: str) -> AsyncIterator[Browser]:
    """Somebody of this role who opened a fresh link."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if (chromium := browser_path()) is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    width, height, theme = LOOKS[look]
    link = new_link(play, f"{role}-{look}", role)
    async with playwright.async_playwright() as player:
        running = await player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = await running.new_page(
                viewport={"width": width, "height": height}, color_scheme=theme, reduced_motion="reduce",
                locale="ru-RU" if theme == "light" else "en-US",
            )  # fmt: skip
            broken: list[str] = []
            page.on("pageerror", lambda error: broken.append(str(error)))
            page.on("console", lambda line: broken.append(line.text) if line.type == "error" else None)
            page.on("response", lambda r: broken.append(f"{r.status} {r.url}") if r.status >= 400 else None)
            await page.goto(link)
            await page.locator("main form button").click()
            await page.locator("header nav").wait_for()
            yield Browser(page, look, link.partition("/link/")[0], broken)
            assert broken == []
        finally:
            await running.close()


def new_link(play: Play, name: str, role: str) -> str:
    """What `neurocards dashboard users add` prints."""
    words = ("dashboard", "users", "add", name, "--role", role, "-o", "json")
    here = {"NEUROCARDS_DATA_DIR": play.stack.data.root}
    here["DASHBOARD_URL"] = play.stack.facts("dashboard")["dashboard_url"]
    env = clean_environment(PYTHONPATH=ROOT, **here)
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", *words], env=env, capture_output=True, check=True
    )
    return str(json.loads(done.stdout)[0]["link"])


async def a_day(play: Play) -> tuple[str, str]:
    """A video, a refusal, a payment; the account, and the job that failed."""
    seller = play.seller()
    await play.settled(seller, await play.order(seller))
    await play.sandbox.inject([{"api": "kie", "call": "createTask", "fault": "policy", "times": 1}])
    confirm = await seller.draft(play.product(seller))
    await seller.results(await seller.order(confirm), 1, 60)
    jobs = await play.jobs(seller)
    account = str(await play.log_watch.account_of(seller.chat.user_id))
    return account, jobs[-1]


everywhere = pytest.mark.parametrize("look", LOOKS)


@everywhere
@pytest.mark.parametrize("role", ["owner"])
async def test_an_owner_at_breakfast(play: Play, browser: Browser, look: str, role: str) -> None:
    """What needs attention, today's numbers, and from a number to its events."""
    account, job = await a_day(play)
    for path in PAGES:
        await browser.go(path, path.strip("/") or "home")
    await browser.go("/")
    await browser.page.locator("main a.n[href^='/events?']").first.click()
    await browser.check("figure")
    assert await browser.page.locator("main .bad").count() == 0, "the figure is not its events' sum"
    await browser.go(f"/people/{account}", "person")
    await browser.go(f"/jobs/{job}", "job")


@everywhere
@pytest.mark.parametrize("role", ["operator"])
async def test_an_operator_at_night(play: Play, browser: Browser, look: str, role: str) -> None:
    """From what failed to its job, made again with a reason, followed to its end."""
    _, job = await a_day(play)
    await browser.go("/errors")
    await browser.go(f"/jobs/{job}")
    await browser.page.locator(f"a[href^='/jobs/{job}/retry']").click()
    await browser.check("ask")
    await browser.page.locator("[name=reason]").fill("the provider is well again")
    await browser.page.locator("main form[method=post] button").click()
    await browser.page.locator("progress[value='1']").wait_for()
    await browser.check("operation")


@everywhere
@pytest.mark.parametrize("role", ["auditor"])
async def test_an_auditor_in_march(play: Play, browser: Browser, look: str, role: str) -> None:
    """A statement as of a position, printed; an event, its hash, its proof. No form that changes anything."""
    account, job = await a_day(play)
    await browser.go(f"/people/{account}?position=4", "statement")
    assert len(await browser.page.pdf()) > 5000
    await browser.go(f"/events?stream=job-{job}", "stream")
    await browser.page.locator("main td a[href^='/events/']").first.click()
    await browser.check("event")
    await browser.go("/audit")
    refused = await browser.page.request.get(f"{browser.base}/jobs/{job}/retry")
    assert refused.status == 403


@pytest.mark.parametrize(("look", "role"), [("desktop-light", "owner")])
async def test_a_page_is_fetched_again_once_the_dashboard_is_back(
    play: Play, browser: Browser, look: str, role: str
) -> None:
    page, again = browser.page, []
    page.on("requestfinished", lambda r: again.append(r.url) if "hx-request" in r.headers else None)
    async with page.expect_response(re.compile("/live$")):
        await page.goto(browser.base + "/errors")
    await play.stack.back("dashboard", await play.stack.kill("dashboard"))
    await eventually(lambda: browser.base + "/errors" in again, what="the page, fetched again")
    browser.broken.clear()  # it complained meanwhile


@everywhere
@pytest.mark.parametrize("role", ["owner"])
async def test_with_the_keyboard_alone(browser: Browser, look: str, role: str) -> None:
    """Tab and Enter lead past the head to the content, through the menu, and to the search."""
    await browser.go("/")
    await browser.page.keyboard.press("Tab")
    assert await browser.page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(25):
        await browser.page.keyboard.press("Tab")
        reached.add(
            await browser.page.evaluate(
                "document.activeElement.getAttribute('href') || document.activeElement.name"
            )
        )
    assert {"/errors", "/jobs", "/audit", "q"} <= reached
    await browser.page.locator("[name=q]").fill("1")
    await browser.page.keyboard.press("Enter")
    await browser.page.wait_for_url(re.compile("/events/1|/search"))
