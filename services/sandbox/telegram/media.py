"""Telegram's files: stored once by file_id, described as the Bot API does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import mimetypes
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import av
from PIL import Image, ImageOps

from events.errors import NeurocardsError
from services.sandbox.app import Context
from services.sandbox.telegram.calls import Upload, bad_request

# The server's own limits for a photo: sum of both sides, and how much longer one may be than the other.
SIDES_SUM_MAX_PX = 10_000
SIDES_RATIO_MAX = 20
_SIZES_PX = (90, 320, 800, 1280)
_THUMBNAIL_PX = 320
_JPEG_QUALITY = 87


class NotAPhotoError(NeurocardsError):
    """The bytes cannot be sent as a photo; the text is the server's own word for it."""


@dataclass(frozen=True)
class Picture:
    width: int
    height: int
    data: bytes


@dataclass(frozen=True)
class Film:
    width: int
    height: int
    duration_s: int
    cover: Picture | None


def photo_sizes(data: bytes) -> list[Picture]:
    """The photo re-encoded in growing sizes, none larger than it is. Raises NotAPhotoError."""
    try:
        with Image.open(io.BytesIO(data)) as source:
            width, height = source.size
            if width + height > SIDES_SUM_MAX_PX or max(width, height) > SIDES_RATIO_MAX * min(width, height):
                raise NotAPhotoError("PHOTO_INVALID_DIMENSIONS")
            source.draft("RGB", (_SIZES_PX[-1], _SIZES_PX[-1]))
            image = _flattened(ImageOps.exif_transpose(source))
            longest = max(width, height)
    except NotAPhotoError:
        raise
    except Exception as error:  # the decoders of dozens of formats raise whatever they like
        raise NotAPhotoError("IMAGE_PROCESS_FAILED") from error
    wanted = [px for px in _SIZES_PX if px < longest] + [min(longest, _SIZES_PX[-1])]
    return [_scaled(image, px) for px in sorted(set(wanted))]


def thumbnail(data: bytes) -> Picture | None:
    try:
        sizes = photo_sizes(data)
    except NotAPhotoError:
        return None
    return next((size for size in sizes if max(size.width, size.height) == _THUMBNAIL_PX), sizes[0])


def film(data: bytes) -> Film | None:
    try:
        with av.open(io.BytesIO(data), mode="r") as container:
            if not container.streams.video:
                return None
            stream = container.streams.video[0]
            duration_s = round((container.duration or 0) / 1_000_000)
            frame = next(container.decode(stream), None)
            cover = None if frame is None else _scaled(frame.to_image(), _THUMBNAIL_PX)  # type: ignore[no-untyped-call]
            return Film(stream.width, stream.height, duration_s, cover)
    except (av.FFmpegError, OSError, ValueError):
        return None


def is_mp4(data: bytes) -> bool:
    return data[4:8] == b"ftyp"


def _flattened(image: Image.Image) -> Image.Image:
    """RGB on white, as photos have no transparency."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        paper = Image.new("RGB", layer.size, "white")
        paper.paste(layer, mask=layer.getchannel("A"))
        return paper
    return image.convert("RGB")


def _scaled(image: Image.Image, longest_px: int) -> Picture:
    small = image.copy()
    small.thumbnail((longest_px, longest_px), Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_JPEG_QUALITY)
    return Picture(small.width, small.height, buffer.getvalue())


Attachment = tuple[str, Any]  # the message's key (`photo`, `video`, ...) and the value under it

FILE_KIND = "telegram_file"
DOWNLOAD_SIZE_MAX_BYTES = 20 * 1024 * 1024
PHOTO_SIZE_MAX_BYTES = 10 * 1024 * 1024
_NAME_LENGTH_MAX = 120
_DECODERS_MAX = 2

_PREFIXES = {
    "photo": "AgACAgIAAxkBAAM",
    "video": "BAACAgIAAxkBAAM",
    "document": "BQACAgIAAxkBAAM",
    "animation": "CgACAgIAAxkBAAM",
    "thumbnail": "AAMCAgADGQEAAw",
}


class Files:
    def __init__(self, ctx: Context) -> None:
        self._store = ctx.store
        # A picture being decoded may take 75 MB; two at a time keep the sandbox small.
        self._decoders = asyncio.Semaphore(_DECODERS_MAX)

    # Reading

    def describe(self, file_id: str) -> dict[str, Any] | None:
        """A file's ids, `file_size`, `file_path`, `kind`, `mime`, `attachment`; None when unknown."""
        return self._store.get(FILE_KIND, file_id)

    def disk_path(self, file_path: str) -> Path | None:
        """Raises StoreError for what cannot be a name."""
        return self._store.file_path(f"telegram/{file_path}")

    # Keeping

    async def keep_photo(self, data: bytes) -> Attachment:
        """Sizes, smallest first. Raises NotAPhotoError."""
        async with self._decoders:
            sizes = await asyncio.to_thread(photo_sizes, data)
        with self._store.batch():
            shown = [self._keep_picture("photo", size) for size in sizes]
            for entry in shown:
                self._describe(entry["file_id"], attachment=["photo", shown])
        return "photo", shown

    async def keep_document(self, upload: Upload) -> Attachment:
        """Untouched; a picture also gets a preview."""
        mime = _mime_of(upload)
        preview = None
        if mime.startswith("image/"):
            async with self._decoders:
                preview = await asyncio.to_thread(thumbnail, upload.data)
        return self._keep_upload("document", upload, mime, {}, preview)

    async def keep_video(self, upload: Upload, declared: dict[str, int], kind: str = "video") -> Attachment:
        """Store a video or animation; what is not an mp4 becomes a document, as on the real server.

        `declared` holds what the sender says of `width`, `height`, `duration`, for a file that says nothing.
        """
        if not is_mp4(upload.data):
            return await self.keep_document(upload)
        async with self._decoders:
            found = await asyncio.to_thread(film, upload.data)
        if found is None:
            return self._keep_upload(
                kind, upload, "video/mp4", {"duration": 0, "width": 0, "height": 0, **declared}, None
            )
        facts = {"duration": found.duration_s, "width": found.width, "height": found.height}
        return self._keep_upload(kind, upload, "video/mp4", facts, found.cover)

    def _keep_upload(
        self, kind: str, upload: Upload, mime: str, facts: dict[str, int], preview: Picture | None
    ) -> Attachment:
        name = _safe_name(upload.filename)
        with self._store.batch():
            entry: dict[str, Any] = {**facts, "file_name": name, "mime_type": mime}
            if preview is not None:
                small = self._keep_picture("thumbnail", preview)
                entry |= {"thumbnail": small, "thumb": small}
            entry |= self._write(kind, upload.data, PurePosixPath(name).suffix or ".bin", mime)
            self._describe(entry["file_id"], attachment=[kind, entry])
        return kind, entry

    def _keep_picture(self, kind: str, picture: Picture) -> dict[str, Any]:
        written = self._write(kind, picture.data, ".jpg", "image/jpeg")
        entry = {**written, "width": picture.width, "height": picture.height}
        self._describe(entry["file_id"], attachment=["photo", [entry]])
        return entry

    def _write(self, kind: str, data: bytes, suffix: str, mime: str) -> dict[str, Any]:
        number = self._store.next_id("telegram_file", 0)
        digest = hashlib.sha256(data).digest()
        token = hashlib.sha256(f"{kind}:{number}".encode() + digest).digest()
        path = f"{kind}s/file_{number}{suffix.lower()}"
        self._store.write_file(f"telegram/{path}", data)
        file_id = _PREFIXES[kind] + _letters(token[:27])
        unique_id = "AQAD" + _letters(digest[:9])
        shown = {"file_id": file_id, "file_unique_id": unique_id, "file_size": len(data)}
        self._store.put(FILE_KIND, file_id, {**shown, "file_path": path, "kind": kind, "mime": mime})
        return shown

    def _describe(self, file_id: str, **more: Any) -> None:
        known = self._store.get(FILE_KIND, file_id) or {}
        self._store.put(FILE_KIND, file_id, known | more)


def download_facts(described: dict[str, Any] | None) -> dict[str, Any]:
    """getFile's answer. Raises BotApiError 400 for an unknown id and for more than 20 MB."""
    if described is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    if described["file_size"] > DOWNLOAD_SIZE_MAX_BYTES:
        raise bad_request("file is too big")
    return {key: described[key] for key in ("file_id", "file_unique_id", "file_size", "file_path")}


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _safe_name(name: str) -> str:
    """File name without folders and control characters, shortened, its suffix kept."""
    plain = "".join(char for char in name.replace("\\", "/").rpartition("/")[2] if char.isprintable()).strip(
        ". "
    )
    path = PurePosixPath(plain or "file")
    suffix = "".join(char for char in path.suffix[:12] if char.isalnum() or char == ".")
    return path.stem[:_NAME_LENGTH_MAX] + suffix


def _mime_of(upload: Upload) -> str:
    given = upload.content_type.partition(";")[0].strip().lower()
    if given and given != "application/octet-stream":
        return given
    return mimetypes.guess_type(upload.filename)[0] or "application/octet-stream"
