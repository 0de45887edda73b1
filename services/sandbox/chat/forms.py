"""Reading what a person's client sends: JSON, forms with files, numbers. Raises UnsupportedActionError with
what to do."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import BodyPartReader, web

from services.sandbox.chat.person import Attached, UnsupportedActionError
from services.sandbox.telegram.wire import Upload

FILE_SIZE_MAX_BYTES = 100 * 1024 * 1024
_FIELD_MAX_BYTES = 1024 * 1024
_KINDS = ("photo", "document", "video")


async def read_json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError as error:
        raise UnsupportedActionError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise UnsupportedActionError("send a JSON object")
    return body


async def read_form(request: web.Request) -> tuple[list[Attached], dict[str, str]]:
    files: list[Attached] = []
    fields: dict[str, str] = {}
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise UnsupportedActionError("nested multipart is not understood")
            name = part.name or ""
            if part.filename is None and name not in _KINDS:
                fields[name] = (await _read_part(part, _FIELD_MAX_BYTES)).decode("utf-8", "replace")
                continue
            data = await _read_part(part, FILE_SIZE_MAX_BYTES)
            if name in _KINDS:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                files.append(Attached(name, Upload(part.filename or name, kind, data)))
    except ValueError as error:
        raise UnsupportedActionError(f"the form cannot be read: {error}") from error
    return files, fields


async def _read_part(part: BodyPartReader, limit_bytes: int) -> bytes:
    data = bytearray()
    too_large = False
    while chunk := await part.read_chunk(64 * 1024):
        too_large = too_large or len(data) + len(chunk) > limit_bytes
        if not too_large:
            data += chunk
    if too_large:
        raise UnsupportedActionError(f"{part.name} is larger than {limit_bytes // 2**20} MB", 413)
    return bytes(data)


def whole(value: Any, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise UnsupportedActionError(f"{name} must be a whole number") from error


def number(value: Any, name: str) -> float:
    try:
        return max(0.0, float(value))
    except (TypeError, ValueError) as error:
        raise UnsupportedActionError(f"{name} must be a number of seconds") from error
