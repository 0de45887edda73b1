"""The chat's page in a real browser: what a person sees, taps and photographs."""

import os
import re
import shutil
from pathlib import Path
from typing import Any, Final

SIZES: Final = {"phone": (390, 844), "desktop": (1280, 800)}
PATIENCE_MS: Final = 90_000
"""How long a person waits for what must come; a loaded machine is slow."""
_DECODED: Final = "Promise.all([...document.images].map((image) => image.decode().catch(() => {})))"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")


def browser_path() -> str | None:
    """An installed Chromium: `CHROMIUM`, or one on PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)), None)


class ChatPage:
    """One person's chat. Labels are parts of what is read there. `page`: Playwright's."""

    def __init__(self, page: Any, screens: Path | None = None, kind: str = "") -> None:
        self.page = page
        self._screens = screens
        self._kind = kind

    async def open(self, sandbox_url: str, user: int, language: str) -> None:
        await self.page.goto(f"{sandbox_url}/?user={user}&lang={language}")

    async def start(self) -> None:
        await self.page.locator("#start").click()

    async def say(self, text: str) -> None:
        await self.page.locator("#text").fill(text)
        await self.page.locator("#send").click()

    async def photo(self, photo: bytes, caption: str) -> None:
        file = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": photo}
        await self.page.locator("#picker").set_input_files(file)
        await self.page.locator("#caption").fill(caption)
        await self.page.locator("#attach-send").click()
        await self.page.locator("#attach-sheet").wait_for(state="hidden")

    async def side(self) -> None:
        """Bring out the page's own controls; a wide window shows them always."""
        if await self.page.locator("#open-side").is_visible():
            await self.page.locator("#open-side").click()
            await self.page.locator(".side-open").wait_for()

    async def do(self, text: str, menu: str, deed: str) -> None:
        """Choose a deed in the menu of the newest message that says `text`."""
        says = self.page.locator(".text", has_text=text)  # not only quotes it
        message = self.page.locator("#messages > li").filter(has=says).last
        await message.hover()
        await message.get_by_role("button", name=menu).click()
        await self.page.get_by_role("menuitem", name=deed).click()

    async def tap(self, label: str) -> None:
        """Press the newest button with that label."""
        key = self._keys(label)
        await key.click(timeout=PATIENCE_MS)

    async def pays(self, label: str, pay: str) -> None:
        """Follow the link to the page of the payment, and pay there."""
        async with self.page.expect_popup() as opened:
            await self._keys(label).click()
        page = await opened.value
        await page.get_by_role("button", name=pay, exact=True).click()
        await page.close()

    async def sees(self, *words: str) -> None:
        """Wait until all of it stands in the chat."""
        for text in words:
            await self.page.locator("#messages").get_by_text(text).last.wait_for(timeout=PATIENCE_MS)

    async def sees_button(self, label: str) -> None:
        await self._keys(label).wait_for(timeout=PATIENCE_MS)

    async def sees_no_button(self, label: str) -> None:
        await self._keys(label).wait_for(state="detached", timeout=PATIENCE_MS)

    async def sees_video(self) -> None:
        await self.page.locator("#messages video").last.wait_for(timeout=PATIENCE_MS)

    async def messages(self) -> int:
        """How many messages of the bot stand there."""
        count: int = await self.page.locator("#messages > li.bot").count()
        return count

    async def shot(self, name: str) -> None:
        """Photograph the page once its pictures are there; only if somebody wants the files."""
        if self._screens is not None:
            await self.page.evaluate(_DECODED)
            for toast in await self.page.locator("#toasts > *").all():
                await toast.wait_for(state="detached", timeout=PATIENCE_MS)
            path = self._screens / f"{name}-{self._kind}.jpg"
            await self.page.screenshot(path=path, type="jpeg", quality=70, animations="disabled")

    async def overflows(self) -> bool:
        """Whether something is wider than the window."""
        wide: bool = await self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wide

    def _keys(self, label: str) -> Any:
        return self.page.locator("#messages .key").filter(has_text=re.compile(re.escape(label))).last
