"""The same notifier against the sandbox's Telegram, which keeps to the real one's rules."""

import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import av
import pytest
from aiogram.types import BufferedInputFile
from PIL import Image

from services.platform.settings import Settings, load_settings
from services.rehearsal.seller import photo_of
from services.sandbox import chat, telegram
from services.sandbox.app import Clock
from tests.integration.services.notifier.conftest import NewNotifier
from tests.support.order_fixture import OrderFixture
from tests.support.outside import Outside, outside

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    modules = {"/telegram": telegram.routes, "/chat": chat.routes}
    async with outside(modules, clock=Clock()) as running:
        yield running


@pytest.fixture
def settings(database_url: str, redis_url: str, sandbox: Outside, tmp_path: Path) -> Settings:
    return load_settings(
        database_url=database_url, redis_url=redis_url, sandbox_url=sandbox.url, data_dir=tmp_path
    )


def small_film() -> bytes:
    """A second of grey."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream: Any = container.add_stream("h264", rate=5)
        stream.width = stream.height = 64
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 64), "grey"))))
        container.mux(stream.encode())
    return file.getvalue()


async def test_an_order_as_its_seller_sees_it(
    studio: OrderFixture, new_notifier: NewNotifier, sandbox: Outside, pool: "Pool"
) -> None:
    seller = await studio.seller(locale="en")
    person = f"/chat/{seller.chat_id}"
    await sandbox.post(f"{person}/send", {"text": "/start"})
    notifier = new_notifier()
    card = BufferedInputFile(photo_of((9, 9, 9), (200, 9, 9)), "photo.jpg")
    confirm = await notifier.bot.send_photo(seller.chat_id, card, caption="Order two videos?")
    order = await studio.order(seller, 2, status_message=confirm.message_id)
    film = small_film()
    await studio.finish(order.jobs[0], film)
    await studio.fail(order, order.jobs[1], "bad_image")
    await notifier.run()
    # The same edit once more, as after a crash: Telegram says that nothing changed.
    await pool.execute("UPDATE status_messages SET shown = 0, due_at = clock_timestamp()")
    await notifier.edit()

    shown = (await sandbox.get(f"{person}/messages"))["messages"]
    shown.sort(key=lambda message: message["message_id"])  # an edited one comes last otherwise
    status, video, failure = [message for message in shown if message["from"]["is_bot"]]
    assert "1. ✅ done" in status["caption"] and "2. ❌" in status["caption"]
    assert "Your video is ready!" in video["caption"]
    assert "reply_markup" not in video and video["reply_to_message"]["message_id"] == status["message_id"]
    assert [b["text"] for row in status["reply_markup"]["inline_keyboard"] for b in row] == [
        "👍 №1", "👎 №1", "🔄 Again with this product", "🎨 Other style", "📐 Other format", "☰ Menu",
    ]  # fmt: skip
    assert "Your credit is back. Your balance: 99 credits." in failure["text"]
    file_id = await pool.fetchval("SELECT file_id FROM deliveries WHERE kind = 'video'")
    async with sandbox.http.get(f"{sandbox.url}{person}/files/{file_id}") as reply:
        assert await reply.read() == film


async def test_someone_who_blocked_the_bot_is_left_alone(
    studio: OrderFixture, new_notifier: NewNotifier, sandbox: Outside, pool: "Pool"
) -> None:
    seller = await studio.seller()
    await sandbox.post(f"/chat/{seller.chat_id}/send", {"text": "/start"})
    await sandbox.post(f"/chat/{seller.chat_id}/block")
    order = await studio.order(seller)
    await studio.fail(order, order.jobs[0])
    await new_notifier().run()
    stored = await pool.fetchrow("SELECT state, last_error FROM deliveries")
    assert stored is not None and stored["state"] == "failed" and "blocked" in stored["last_error"]
