"""A running system and a Chromium; without either it is said what is left out."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chat_page import SIZES, ChatPage, browser_path
from tests.support.playing_fixtures import collector, play, pytest_runtest_makereport, stack

__all__ = ["collector", "play", "pytest_runtest_makereport", "stack"]


@pytest.fixture
async def chat_page(request: pytest.FixtureRequest) -> AsyncIterator[ChatPage]:
    """A page of the language, size and colours that the test's parameters name."""
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    if (chromium := browser_path()) is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    kind = [request.getfixturevalue(name) for name in ("language", "device", "theme")]
    width, height = SIZES[kind[1]]
    folder = os.environ.get("SCREENS")
    async with playwright.async_playwright() as player:
        browser = await player.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page: Any = await browser.new_page(
                viewport={"width": width, "height": height},
                color_scheme=kind[2],
                reduced_motion="reduce",
            )
            broken: list[str] = []
            page.on("pageerror", lambda error: broken.append(str(error)))
            yield ChatPage(page, Path(folder) if folder else None, "-".join(kind))
            assert broken == [], "a script of the page failed"
        finally:
            await browser.close()
