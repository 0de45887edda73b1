"""Takes in pictures: from our own uploads without a detour, from elsewhere over HTTP, checked either way."""

from __future__ import annotations

import hashlib

from aiohttp import web

from services.sandbox.context import Context
from services.sandbox.kie import uploads
from services.sandbox.kie.fetch import download, is_image
from services.sandbox.kie.wire import IMAGE_NOT_FETCHED, KieError

IMAGE_SIZE_MAX_BYTES = 10 * 1024 * 1024
LEAK_KIND = "kie_leak"

_FETCH_TIMEOUT_S = 15.0


async def take_in(ctx: Context, request: web.Request, urls: list[str]) -> str:
    """Check every picture and return the first one's file name in the store ("" without any).

    Raises KieError for what the provider would refuse, and for URLs that would give a bot's token away.
    """
    names: list[str] = []
    for url in urls:
        if "/file/bot" in url:
            ctx.store.put(LEAK_KIND, str(ctx.store.next_id(LEAK_KIND)), {"url": _masked(url)})
            raise KieError(422, "image URL refused: it holds a Telegram bot token (/file/bot...)")
        own = uploads.find(ctx, url, request.host)
        names.append(await _fetched(ctx, url) if own is None else _checked_own(own))
    return names[0] if names else ""


def _checked_own(upload: uploads.Upload) -> str:
    if upload.size > IMAGE_SIZE_MAX_BYTES:
        raise KieError(422, "The image size exceeds the maximum limit of 10MB")
    if not upload.image:
        raise KieError(422, "The image type is not supported, use jpeg, png or webp")
    return upload.file


async def _fetched(ctx: Context, url: str) -> str:
    data = await download(ctx, url, IMAGE_SIZE_MAX_BYTES, _FETCH_TIMEOUT_S)
    if data is None:
        raise KieError(451, IMAGE_NOT_FETCHED)
    if len(data) > IMAGE_SIZE_MAX_BYTES:
        raise KieError(422, "The image size exceeds the maximum limit of 10MB")
    if not is_image(data):
        raise KieError(422, "The image type is not supported, use jpeg, png or webp")
    name = f"kie/uploads/{hashlib.sha256(data).hexdigest()}"
    ctx.store.write_file(name, data)
    return name


def _masked(url: str) -> str:
    return url.split("/file/bot", 1)[0] + "/file/bot..."
