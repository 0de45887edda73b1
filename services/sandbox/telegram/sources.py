"""Where a call's media come from: a file in the request, a file_id known already, an address to fetch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.files import PHOTO_SIZE_MAX_BYTES, Attachment
from services.sandbox.telegram.media import NotAPhoto
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.webhooks import is_local
from services.sandbox.telegram.wire import Call, Upload

URL_SIZE_MAX_BYTES = 20 * 1024 * 1024
URL_PHOTO_SIZE_MAX_BYTES = 5 * 1024 * 1024
_ATTACHED = "attach://"
_WRONG_ID = "wrong file identifier/HTTP URL specified"


async def read_attachment(
    telegram: Telegram, call: Call, kind: str, source: str, facts: Mapping[str, Any]
) -> Attachment:
    """The media `source` points at, kept and described as `kind`.

    `source` is a file_id, an address, `attach://part` or the name of a part. `facts` may hold the sender's
    `width`, `height`, `duration`. Raises BotApiError 400 with the server's sentence.
    """
    upload = call.uploads.get(source.removeprefix(_ATTACHED))
    if upload is None and source.startswith(("http://", "https://")):
        upload = await _fetch(telegram, source, kind)
    if upload is not None:
        return await _keep(telegram, kind, upload, facts)
    described = telegram.files.describe(source)
    if described is None or "attachment" not in described:
        raise bad_request(_WRONG_ID)
    known, entry = described["attachment"]
    if known != kind and not {known, kind} <= {"video", "animation"}:
        raise bad_request(f"can't use file of type {known.capitalize()} as {kind.capitalize()}")
    return known, entry


async def _keep(telegram: Telegram, kind: str, upload: Upload, facts: Mapping[str, Any]) -> Attachment:
    if not upload.data:
        raise bad_request("file must be non-empty")
    declared = {key: _whole(facts.get(key)) for key in ("width", "height", "duration")}
    if kind == "photo":
        if len(upload.data) > PHOTO_SIZE_MAX_BYTES:
            raise bad_request("file is too big")
        try:
            return await telegram.files.keep_photo(upload.data)
        except NotAPhoto as error:
            raise bad_request(str(error)) from error
    if kind in ("video", "animation"):
        return await telegram.files.keep_video(upload, declared, kind)
    if kind in ("audio", "voice"):
        return telegram.files.keep_sound(upload, kind, declared["duration"])
    return await telegram.files.keep_document(upload)


async def _fetch(telegram: Telegram, url: str, kind: str) -> Upload:
    """Fetch media by address, as Telegram does; only from this machine, as the sandbox reaches no further."""
    if not is_local(url):
        raise bad_request("failed to get HTTP URL content")
    limit = URL_PHOTO_SIZE_MAX_BYTES if kind == "photo" else URL_SIZE_MAX_BYTES
    try:
        async with telegram.ctx.http().get(url) as response:
            if response.status != 200:
                raise bad_request("failed to get HTTP URL content")
            data = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                data += chunk
                if len(data) > limit:
                    raise bad_request("failed to get HTTP URL content")
            if response.content_type.startswith("text/"):
                raise bad_request("wrong type of the web page content")
            return Upload(
                PurePosixPath(urlsplit(url).path).name or "file", response.content_type, bytes(data)
            )
    except aiohttp.InvalidURL as error:
        raise bad_request("wrong HTTP URL specified") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise bad_request("failed to get HTTP URL content") from error


def _whole(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError):
        return 0
