"""Parses Bot API calls: query, form, JSON, multipart; and refuses them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from aiohttp import BodyPartReader, MultipartReader, web

from events.errors import NeurocardsError

UPLOAD_SIZE_MAX_BYTES = 50 * 1024 * 1024
FIELD_SIZE_MAX_BYTES = 1024 * 1024
PARTS_MAX = 200

_TRUE_WORDS = frozenset({"true", "yes", "1"})


class BotApiError(NeurocardsError):
    """An answer with `"ok": false`; `code` is also the HTTP status."""

    def __init__(self, code: int, description: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(f"{code} {description}")
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            answer["parameters"] = self.parameters
        return answer


def bad_request(message: str) -> BotApiError:
    return BotApiError(400, f"Bad Request: {_lower_first(message)}")


def forbidden(message: str) -> BotApiError:
    return BotApiError(403, f"Forbidden: {_lower_first(message)}")


def conflict(message: str) -> BotApiError:
    return BotApiError(409, f"Conflict: {_lower_first(message)}")


def too_large(size_bytes: int) -> BotApiError:
    return BotApiError(413, f"Request Entity Too Large: file of size {size_bytes} is too big to be uploaded")


def too_many_requests(retry_after_s: int) -> BotApiError:
    description = f"Too Many Requests: retry after {retry_after_s}"
    return BotApiError(429, description, {"retry_after": retry_after_s})


def _lower_first(message: str) -> str:
    # The real server's rule: words in capitals (BUTTON_DATA_INVALID) keep theirs.
    if len(message) > 1 and (message[1].isupper() or message[1] == "_"):
        return message
    return message[:1].lower() + message[1:]


@dataclass(frozen=True)
class Upload:
    filename: str
    content_type: str
    data: bytes


@dataclass(frozen=True)
class Call:
    """One call: the method as the client spelled it, its parameters, its files by part name."""

    method: str
    values: dict[str, Any] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        return self.values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        if value is None:
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        return value if isinstance(value, str) else json.dumps(value)

    def integer(self, name: str, default: int = 0, low: int | None = None, high: int | None = None) -> int:
        """A whole number, forced into [low, high]; what is not a number counts as the default."""
        value = default
        with contextlib.suppress(ValueError):
            value = int(self.text(name, str(default)))
        if low is not None:
            value = max(low, value)
        return value if high is None else min(high, value)

    def flag(self, name: str) -> bool:
        return self.text(name).strip().lower() in _TRUE_WORDS

    def structure(self, name: str, complaint: str) -> Any:
        """A nested value, JSON text or plain in a JSON body; None when absent."""
        value = self.values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise bad_request(complaint) from error


async def read_call(request: web.Request, method: str) -> Call:
    """Parse a request. Raises BotApiError 400 for an unreadable body, 413 for too big a file."""
    values: dict[str, Any] = dict(request.query)
    if request.method != "POST":
        return Call(method, values)
    if request.content_type == "application/json":
        return Call(method, values | await _json_values(request))
    if request.content_type == "multipart/form-data":
        parts, uploads = await _read_parts(request)
        return Call(method, values | parts, uploads)
    return Call(method, values | {name: str(value) for name, value in (await request.post()).items()})


async def _json_values(request: web.Request) -> dict[str, Any]:
    body = await request.read()
    try:
        decoded = json.loads(body or b"{}")
    except ValueError as error:
        raise bad_request("can't parse JSON object") from error
    if not isinstance(decoded, dict):
        raise bad_request("object expected")
    return decoded


async def _read_parts(request: web.Request) -> tuple[dict[str, str], dict[str, Upload]]:
    values: dict[str, str] = {}
    uploads: dict[str, Upload] = {}
    refusal: BotApiError | None = None
    try:
        reader = await request.multipart()
        count = 0
        while (part := await reader.next()) is not None:
            count += 1
            if isinstance(part, MultipartReader) or count > PARTS_MAX:
                raise bad_request("can't parse multipart request body")
            name = part.name or ""
            limit = FIELD_SIZE_MAX_BYTES if part.filename is None else UPLOAD_SIZE_MAX_BYTES
            data, size_bytes = await read_part(part, limit)
            if data is None:
                # Read on to the end: a client still sending would see a broken connection, not the answer.
                refusal = too_large(size_bytes)
            elif part.filename is None:
                values[name] = data.decode("utf-8", "replace")
            else:
                kind = part.headers.get("Content-Type", "application/octet-stream")
                uploads[name] = Upload(part.filename, kind, data)
    except ValueError as error:
        raise bad_request("can't parse multipart request body") from error
    if refusal is not None:
        raise refusal
    return values, uploads


async def read_part(part: BodyPartReader, limit_bytes: int) -> tuple[bytes | None, int]:
    """A form's part and its size; read to its end, None when over the limit."""
    data = bytearray()
    size_bytes = 0
    while chunk := await part.read_chunk(64 * 1024):
        size_bytes += len(chunk)
        if size_bytes <= limit_bytes:
            data += chunk
    return (bytes(data) if size_bytes <= limit_bytes else None), size_bytes
