"""`doctor --live`: a rouble there and back, a message, the cheapest video; with receipts.

With the adapters that the processes use, past the ledger: nobody is charged a credit, and the comparison of
books lists the rouble as `foreign`.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiogram.exceptions import AiogramError
from aiohttp import ClientError
from PIL import Image

from services.adapters.kie.errors import KieError, TaskUnknownError
from services.adapters.kie.gateway import Kie
from services.adapters.telegram.client import create_bot
from services.adapters.yookassa.errors import YooKassaError
from services.adapters.yookassa.gateway import YooKassa
from services.cli.doctor import Check, fail, ok, warn
from services.generation.catalogue import Model, load_catalogue
from services.platform.blob_stores import open_blobs
from services.platform.blobs import BlobError
from services.platform.ids import new_id
from services.platform.settings import Settings

PAY_S: Final = 600.0
_LOOK_S: Final = 1.0
_AMOUNT: Final = {"value": "1.00", "currency": "RUB"}
_WORDS: Final = "neurocards doctor: messages of this bot arrive here."
_PROMPT: Final = "The plain square stands still; the light on it changes slowly."

Say = Callable[[str], None]


def plan(settings: Settings) -> str:
    model, seconds = _cheapest()
    chat = chat_of(settings)
    return (
        f"one rouble to shop {settings.yookassa_shop}, sent back; "
        + (f"a message to chat {chat}; " if chat else "no message, as ALERTS_CHAT_ID is not set; ")
        + f"a video by {model.slug}, about {model.cost_milli(seconds) / 1000:g} KIE credits"
    )


def chat_of(settings: Settings) -> int | None:
    """Who gets the message: the chat of alerts, or an admin."""
    return settings.alerts_chat_id or min(settings.admin_ids, default=None)


async def try_live(settings: Settings, say: Say) -> list[Check]:
    """Spend what `plan` says. The rouble is waited for while the video is made."""
    trials = {"rouble": _rouble(settings, say), "message": _message(settings), "video": _video(settings)}
    return list(await asyncio.gather(*(_tried(name, trial) for name, trial in trials.items())))


async def _tried(name: str, trial: Awaitable[Check]) -> Check:
    try:
        return await trial
    except TimeoutError:
        return fail(name, "nothing came in time", "look in the company's cabinet what came of it")
    except (KieError, YooKassaError, AiogramError, ClientError, BlobError, OSError) as error:
        return fail(name, f"{type(error).__name__}: {error}"[:300], "mend what it says, and try again")


async def _rouble(settings: Settings, say: Say) -> Check:
    if settings.yookassa_receipts:
        advice = "buy the smallest package in the chat, then `neurocards payments refund`"
        return warn("rouble", "not tried: receipts are on, and need a buyer's address", advice)
    nonce = new_id()
    body: dict[str, Any] = {"amount": _AMOUNT, "capture": True, "description": "neurocards doctor"}
    body["confirmation"] = {"type": "redirect", "return_url": settings.payment_return}
    async with YooKassa(settings) as shop:
        made = await shop.create_payment(body, f"doctor-{nonce}")
        say(f"pay one rouble within {PAY_S / 60:.0f} minutes: {made.confirmation_url}")
        async with asyncio.timeout(PAY_S):
            while (paid := await shop.payment(made.id)).status == "pending":
                await asyncio.sleep(_LOOK_S)
        if paid.status != "succeeded":
            return fail("rouble", f"payment {made.id} is {paid.status}", "pay it; the cabinet says why")
        try:
            back = await shop.create_refund({"payment_id": made.id, "amount": _AMOUNT}, f"back-{nonce}")
        except YooKassaError as error:
            return fail("rouble", f"paid as {made.id}, not sent back: {error}", "refund it in the cabinet")
    return ok("rouble", f"paid as {made.id}, sent back as {back.id}: {back.status}")


async def _message(settings: Settings) -> Check:
    chat = chat_of(settings)
    if chat is None:
        return warn("message", "nobody to write to", "set ALERTS_CHAT_ID, and write to the bot from there")
    bot = create_bot(settings)
    try:
        sent = await bot.send_message(chat, _WORDS)
    finally:
        await bot.session.close()
    return ok("message", f"number {sent.message_id} in chat {chat}")


def _cheapest() -> tuple[Model, int]:
    offers = [(m, min(m.lengths_s or (m.duration_s,))) for m in load_catalogue().models if m.enabled]
    return min(offers, key=lambda offer: offer[0].cost_milli(offer[1]))


async def _video(settings: Settings) -> Check:
    model, seconds = _cheapest()
    picture, side = io.BytesIO(), max(model.image.side_px_min, 512)
    Image.new("RGB", (side, side), "teal").save(picture, "JPEG")
    blobs, key = open_blobs(settings), f"doctor/{new_id()}.mp4"
    async with Kie(settings, blobs) as kie:
        client = kie.client(kie.accounts[0])
        assert client is not None
        url = await client.upload(picture.getvalue(), f"doctor-{new_id()}.jpg")
        task = await client.create_task(model.slug, model.task_input(_PROMPT, url, seconds=seconds), None)
        record = None
        async with asyncio.timeout(model.deadline_s):
            while record is None or record.state == "running":
                await asyncio.sleep(settings.kie_poll_s)
                try:
                    record = await client.read_task(task)
                except TaskUnknownError:
                    record = None  # one just made may not be visible yet
        if record.failure is not None:
            words = f"{record.failure.error_class} {record.failure.code}"
            return fail("video", f"task {task} failed: {words}", "`neurocards models list` says more")
        try:
            stored = await kie.fetch(record.urls[0], key)
        finally:
            await blobs.delete(key)
    paid = "an unknown number of" if record.charged_milli is None else f"{record.charged_milli / 1000:g}"
    found = f"{model.slug}, {seconds} s: task {task}, {stored.size_bytes // 1000} kB, {paid} KIE credits"
    return ok("video", found)
