"""Uploaded files, and the pictures a task names: uploaded before, or fetched over HTTP."""

from __future__ import annotations

import datetime
import hashlib
import io
import mimetypes
import re
import warnings
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from aiohttp import web
from PIL import Image, UnidentifiedImageError
from yarl import URL

from services.sandbox.app import Context, bearer
from services.sandbox.faults import broken_answer
from services.sandbox.kie.answers import IMAGE_NOT_FETCHED, KieError, origin
from services.sandbox.knobs import knobs

UPLOAD_KIND = "kie_upload"
LEAK_KIND = "kie_leak"
IMAGE_SIZE_MAX_BYTES = 10 * 1024 * 1024

_SIZE_MAX_BYTES = 100 * 1024 * 1024
_FETCH_TIMEOUT_S = 15.0
_CHUNK_BYTES = 65_536
_LIFE_S = 259_200.0
_PATH = re.compile(r"[^/\\\0]+(/[^/\\\0]+)*")
_PATH_LENGTH_MAX = 200
_PREFIX = "/kie/files/"
_IMAGE_FORMATS = ("JPEG", "PNG", "WEBP")


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
        path = None if upload is None else ctx.store.file_path(upload.file)
        if upload is None or path is None:
            raise web.HTTPNotFound(text="Not Found")
        return web.FileResponse(path, headers={"Content-Type": upload.mime})

    async def upload_file(request: web.Request) -> web.StreamResponse:
        key = bearer(request)
        if key is None:
            return _refusal(ctx, 401, "Authentication failed: Invalid API Key")
        fault = ctx.faults.take("kie", "upload", key=key)
        if fault is not None and (broken := await broken_answer(request, fault)) is not None:
            return broken
        try:
            uploaded = _keep(ctx, key, *await _read_form(request))
        except KieError as error:
            return _refusal(ctx, error.code, error.msg)
        shown = _shown(uploaded, origin(request))
        if fault is not None and fault.name == "no_url":
            del shown["downloadUrl"]
        return web.json_response(
            {"success": True, "code": 200, "msg": "File uploaded successfully", "data": shown}
        )

    return [web.post("/api/file-stream-upload", upload_file), web.get("/files/{path:.+}", serve_file)]


def find(ctx: Context, url: str, host: str) -> Upload | None:
    """The upload behind one of our URLs; None when too old or foreign."""
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
    expired = upload.uploaded_at + _LIFE_S < ctx.clock.now()
    return None if expired else upload


async def take_in(ctx: Context, request: web.Request, urls: list[str]) -> str:
    """Check pictures; returns the first's stored name, or "". Raises KieError, e.g. for a bot token."""
    names: list[str] = []
    for url in urls:
        if "/file/bot" in url:
            masked = url.split("/file/bot", 1)[0] + "/file/bot..."
            ctx.store.put(LEAK_KIND, str(ctx.store.next_id(LEAK_KIND)), {"url": masked})
            raise KieError(422, "image URL refused: it holds a Telegram bot token (/file/bot...)")
        own = find(ctx, url, request.host)
        if own is not None:
            _check_image(own.size, own.image)
            names.append(own.file)
            continue
        data = await _download(ctx, url)
        _check_image(len(data), image_mime(data) is not None)
        names.append(f"kie/uploads/{hashlib.sha256(data).hexdigest()}")
        ctx.store.write_file(names[-1], data)
    return names[0] if names else ""


def _check_image(size_bytes: int, is_image: bool) -> None:
    if size_bytes > IMAGE_SIZE_MAX_BYTES:
        raise KieError(422, "The image size exceeds the maximum limit of 10MB")
    if not is_image:
        raise KieError(422, "The image type is not supported, use jpeg, png or webp")


async def _download(ctx: Context, url: str) -> bytes:
    """Body of a 200 answer, cut after the largest allowed. Raises KieError 451."""
    data = bytearray()
    try:
        async with ctx.http().get(url, timeout=aiohttp.ClientTimeout(total=_FETCH_TIMEOUT_S)) as reply:
            if reply.status != 200:
                raise KieError(451, IMAGE_NOT_FETCHED)
            async for part in reply.content.iter_chunked(_CHUNK_BYTES):
                data += part
                if len(data) > IMAGE_SIZE_MAX_BYTES:
                    break
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
        raise KieError(451, IMAGE_NOT_FETCHED) from error
    return bytes(data)


def image_mime(data: bytes) -> str | None:
    """MIME type by the bytes' header; None for anything but JPEG, PNG, WebP."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=_IMAGE_FORMATS) as image:
                return image.get_format_mimetype() if image.width > 0 else None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


async def _read_form(request: web.Request) -> tuple[bytes, str, str]:
    """The content, its folder, its name ("" without one)."""
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
    for name, given in (("file", data is not None), ("uploadPath", form.get("uploadPath"))):
        if not given:
            raise KieError(400, f"Missing required parameter: {name}")
    folder = form["uploadPath"]
    dotted = any(part in ("..", ".") for part in folder.split("/"))
    if not _PATH.fullmatch(folder) or dotted or len(folder) > _PATH_LENGTH_MAX:
        raise KieError(400, "uploadPath must not begin or end with a slash")
    return data or b"", folder, form.get("fileName") or form.get("original") or ""


async def _limited(part: aiohttp.BodyPartReader) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        data += chunk
        if len(data) > _SIZE_MAX_BYTES:
            raise KieError(400, "File size exceeds the limit of 100MB")
    return bytes(data)


def _keep(ctx: Context, key: str, data: bytes, folder: str, name: str) -> Upload:
    if not data:
        raise KieError(400, "The file is empty")
    digest = hashlib.sha256(data).hexdigest()
    file_name = (name or f"{digest[:16]}.bin").replace("/", "_").replace("\\", "_")[:120]
    # The account's own folder, as in the provider's URLs: the same name again overwrites, but only one's own.
    owner = hashlib.sha256(key.encode()).hexdigest()[:12]
    picture = image_mime(data)
    upload = Upload(
        path=f"{owner}/{folder}/{file_name}",
        file=f"kie/uploads/{digest}",
        size=len(data),
        mime=picture or mimetypes.guess_type(file_name)[0] or "application/octet-stream",
        image=picture is not None,
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


def _refusal(ctx: Context, code: int, msg: str) -> web.Response:
    status = code if knobs(ctx).http_statuses else 200
    return web.json_response({"success": False, "code": code, "msg": msg}, status=status)
