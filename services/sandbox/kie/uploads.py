"""The three upload endpoints and the files they made."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import mimetypes
import re
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import web
from yarl import URL

from services.sandbox import faults
from services.sandbox.context import Context
from services.sandbox.kie.fetch import download, is_image
from services.sandbox.kie.wire import KieError, bearer, json_object, origin
from services.sandbox.knobs import knobs
from services.sandbox.sendfile import send_bytes

UPLOAD_KIND = "kie_upload"

_SIZE_MAX_BYTES = 100 * 1024 * 1024
_FETCH_TIMEOUT_S = 30.0
_PATH = re.compile(r"[^/\\\0]+(/[^/\\\0]+)*")
_PATH_LENGTH_MAX = 200
_PREFIX = "/kie/files/"
_SIGNATURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"RIFF": "image/webp",
    b"GIF8": "image/gif",
}

Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]


class Upload(msgspec.Struct, kw_only=True):
    """One uploaded file; `file` is its name in the store, time is epoch seconds."""

    path: str
    file: str
    size: int
    mime: str
    image: bool
    uploaded_at: float


def routes(ctx: Context) -> list[web.RouteDef]:
    async def serve_file(request: web.Request) -> web.StreamResponse:
        upload = find(ctx, str(request.url), request.host)
        if upload is None:
            raise web.HTTPNotFound(text="Not Found")
        return send_bytes(request, ctx.store.read_file(upload.file) or b"", upload.mime)

    return [
        web.post("/api/file-base64-upload", _endpoint(ctx, _from_base64)),
        web.post("/api/file-stream-upload", _endpoint(ctx, _from_form)),
        web.post("/api/file-url-upload", _endpoint(ctx, _from_url)),
        web.get("/files/{path:.+}", serve_file),
    ]


def find(ctx: Context, url: str, host: str) -> Upload | None:
    """The upload behind one of our own URLs, unless it is too old; None for anybody else's."""
    try:
        parsed = URL(url)
    except ValueError:
        return None
    if not parsed.path.startswith(_PREFIX) or parsed.authority not in (host, URL(ctx.base_url).authority):
        return None
    doc = ctx.store.get(UPLOAD_KIND, parsed.path.removeprefix(_PREFIX))
    if doc is None:
        return None
    upload = msgspec.convert(doc, Upload)
    expired = upload.uploaded_at + knobs(ctx).upload_ttl_seconds < ctx.clock.now()
    return None if expired else upload


_Taken = tuple[bytes, str, str | None]  # content, uploadPath, fileName
_Reader = Callable[[Context, web.Request], Coroutine[Any, Any, _Taken]]


def _endpoint(ctx: Context, read: _Reader) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        key = bearer(request)
        if key is None:
            return _refusal(ctx, 401, "Authentication failed: Invalid API Key")
        fault = ctx.faults.take("kie", "upload", key=key)
        if fault is not None and fault.name == "drop":
            return faults.drop(request)
        if fault is not None and fault.name == "html_502":
            return faults.html_502()
        try:
            data, folder, name = await read(ctx, request)
            uploaded = _keep(ctx, key, data, _checked_path(folder), name)
        except KieError as error:
            return _refusal(ctx, error.code, error.msg)
        shown = _shown(uploaded, origin(request))
        if fault is not None and fault.name == "no_url":
            del shown["downloadUrl"]
        return web.json_response(
            {"success": True, "code": 200, "msg": "File uploaded successfully", "data": shown}
        )

    return handle


async def _from_base64(ctx: Context, request: web.Request) -> _Taken:
    body = await json_object(request)
    text = _text(body, "base64Data")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise KieError(400, "Base64 decoding failed: Invalid Base64 format") from error
    return data, _text(body, "uploadPath"), _optional(body, "fileName")


async def _from_form(ctx: Context, request: web.Request) -> _Taken:
    if request.content_type != "multipart/form-data":
        raise KieError(400, "Content-Type must be multipart/form-data")
    form: dict[str, str] = {}
    data: bytes | None = None
    try:
        async for part in await request.multipart():
            if not isinstance(part, aiohttp.BodyPartReader):
                continue
            if part.name == "file":
                data = await _limited(part)
                form.setdefault("original", part.filename or "")
            elif part.name:
                form[part.name] = (await part.text())[:1000]
    except ValueError as error:
        raise KieError(400, f"Cannot read the form: {error}") from error
    if data is None:
        raise KieError(400, "Missing required parameter: file")
    return data, _text(form, "uploadPath"), form.get("fileName") or form.get("original") or None


async def _limited(part: aiohttp.BodyPartReader) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(65_536):
        data += chunk
        if len(data) > _SIZE_MAX_BYTES:
            raise KieError(400, "File size exceeds the limit of 100MB")
    return bytes(data)


async def _from_url(ctx: Context, request: web.Request) -> _Taken:
    body = await json_object(request)
    url = _text(body, "fileUrl")
    folder = _text(body, "uploadPath")
    data = await download(ctx, url, _SIZE_MAX_BYTES, _FETCH_TIMEOUT_S)
    if not data:
        raise KieError(400, "Failed to download the file from the URL")
    if len(data) > _SIZE_MAX_BYTES:
        raise KieError(400, "File size exceeds the limit of 100MB")
    return data, folder, _optional(body, "fileName") or URL(url).name or None


def _keep(ctx: Context, key: str, data: bytes, folder: str, name: str | None) -> Upload:
    if not data:
        raise KieError(400, "The file is empty")
    digest = hashlib.sha256(data).hexdigest()
    file_name = (name or f"{digest[:16]}.bin").replace("/", "_").replace("\\", "_")[:120]
    # The account's own folder, as in the provider's URLs: the same name again overwrites, but only one's own.
    owner = hashlib.sha256(key.encode()).hexdigest()[:12]
    upload = Upload(
        path=f"{owner}/{folder}/{file_name}",
        file=f"kie/uploads/{digest}",
        size=len(data),
        mime=_mime(data, file_name),
        image=is_image(data),
        uploaded_at=ctx.clock.now(),
    )
    ctx.store.write_file(upload.file, data)
    ctx.store.put(UPLOAD_KIND, upload.path, msgspec.to_builtins(upload))
    return upload


def _shown(upload: Upload, at: str) -> dict[str, Any]:
    uploaded = datetime.datetime.fromtimestamp(upload.uploaded_at, datetime.UTC)
    return {
        "fileName": upload.path.rpartition("/")[2],
        "filePath": upload.path.partition("/")[2],
        "downloadUrl": at + _PREFIX + quote(upload.path),
        "fileSize": upload.size,
        "mimeType": upload.mime,
        "uploadedAt": uploaded.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _mime(data: bytes, name: str) -> str:
    for signature, mime in _SIGNATURES.items():
        if data.startswith(signature):
            return mime
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def _checked_path(folder: str) -> str:
    dotted = any(part in ("..", ".") for part in folder.split("/"))
    if not _PATH.fullmatch(folder) or dotted or len(folder) > _PATH_LENGTH_MAX:
        raise KieError(400, "uploadPath must not begin or end with a slash")
    return folder


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise KieError(400, f"Missing required parameter: {name}")
    return value


def _optional(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    return value if isinstance(value, str) and value else None


def _refusal(ctx: Context, code: int, msg: str) -> web.Response:
    status = code if knobs(ctx).http_statuses else 200
    return web.json_response({"success": False, "code": code, "msg": msg}, status=status)
