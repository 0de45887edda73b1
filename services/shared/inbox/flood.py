"""Who was told lately that some of their messages were left out."""

import time
from typing import Final

REST_S: Final = 60.0
"""Losses of one chat that are closer together are one flood."""


class FloodNotices:
    """Each flood is told once, by the process that has the turn."""

    def __init__(self) -> None:
        self._last: dict[int, float] = {}

    def given(self, chat_id: int) -> bool:
        """Whether this flood was told; if so, it goes on."""
        now = time.monotonic()
        self._last = {chat: at for chat, at in self._last.items() if now - at < REST_S}
        if chat_id not in self._last:
            return False
        self._last[chat_id] = now
        return True

    def note(self, chat_id: int) -> None:
        """It was told."""
        self._last[chat_id] = time.monotonic()
