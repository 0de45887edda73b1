"""Files both sides send: kept once, named by file_id, described in the Bot API's shapes."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import mimetypes
from pathlib import PurePosixPath
from typing import Any

from services.sandbox.app import Context
from services.sandbox.telegram import media
from services.sandbox.telegram.errors import bad_request
from services.sandbox.telegram.media import Picture
from services.sandbox.telegram.wire import Upload

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
    "audio": "CQACAgIAAxkBAAM",
    "voice": "AwACAgIAAxkBAAM",
    "thumbnail": "AAMCAgADGQEAAw",
}
_FOLDERS = {
    "photo": "photos",
    "video": "videos",
    "document": "documents",
    "animation": "animations",
    "audio": "music",
    "voice": "voice",
    "thumbnail": "thumbnails",
}


class Files:
    """Every file of the sandboxed Telegram, by file_id."""

    def __init__(self, ctx: Context) -> None:
        self._store = ctx.store
        # A picture being decoded may take 75 MB; two at a time keep the sandbox small.
        self._decoders = asyncio.Semaphore(_DECODERS_MAX)

    # Reading

    def describe(self, file_id: str) -> dict[str, Any] | None:
        """A file's ids, `file_size`, `file_path`, `kind`, `mime`, `attachment`; None when unknown."""
        return self._store.get(FILE_KIND, file_id)

    def by_path(self, file_path: str) -> bytes | None:
        return self._store.read_file(f"telegram/{file_path}")

    def disk_path(self, file_path: str) -> Any:
        """Where the file lies, for serving it without reading it; None when it is kept in memory."""
        return self._store.file_path(f"telegram/{file_path}")

    # Keeping

    async def keep_photo(self, data: bytes) -> Attachment:
        """Several sizes, smallest first. Raises media.NotAPhotoError."""
        async with self._decoders:
            sizes = await asyncio.to_thread(media.photo_sizes, data)
        with self._store.batch():
            shown = [self._keep_picture("photo", size) for size in sizes]
            for entry in shown:
                self._describe(entry["file_id"], attachment=["photo", shown])
        return "photo", shown

    async def keep_document(self, upload: Upload) -> Attachment:
        """Any file at all, untouched; a picture also gets a preview."""
        mime = _mime_of(upload)
        preview = None
        if mime.startswith("image/"):
            async with self._decoders:
                preview = await asyncio.to_thread(media.thumbnail, upload.data)
        return self._keep_upload("document", upload, mime, {}, preview)

    async def keep_video(self, upload: Upload, declared: dict[str, int], kind: str = "video") -> Attachment:
        """A video or animation; what is not an mp4 becomes a document, as it does on the real server.

        `declared` holds what the sender says of `width`, `height`, `duration`, for a file that says nothing.
        """
        if not media.is_mp4(upload.data):
            return await self.keep_document(upload)
        async with self._decoders:
            found = await asyncio.to_thread(media.film, upload.data)
        if found is None:
            return self._keep_upload(
                kind, upload, "video/mp4", {"duration": 0, "width": 0, "height": 0, **declared}, None
            )
        facts = {"duration": found.duration_s, "width": found.width, "height": found.height}
        return self._keep_upload(kind, upload, "video/mp4", facts, found.cover)

    def keep_sound(self, upload: Upload, kind: str, duration_s: int) -> Attachment:
        """An `audio` or `voice` file."""
        return self._keep_upload(kind, upload, _mime_of(upload), {"duration": duration_s}, None)

    def _keep_upload(
        self, kind: str, upload: Upload, mime: str, facts: dict[str, int], preview: Picture | None
    ) -> Attachment:
        name = _safe_name(upload.filename)
        with self._store.batch():
            entry: dict[str, Any] = {**facts, "file_name": name, "mime_type": mime}
            if kind == "voice":
                del entry["file_name"]
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
        path = f"{_FOLDERS[kind]}/file_{number}{suffix.lower()}"
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
    """What getFile answers. Raises BotApiError 400 for an unknown id and for more than 20 MB."""
    if described is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    if described["file_size"] > DOWNLOAD_SIZE_MAX_BYTES:
        raise bad_request("file is too big")
    return {key: described[key] for key in ("file_id", "file_unique_id", "file_size", "file_path")}


def _letters(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _safe_name(name: str) -> str:
    """The name a person sees: no folders, no control characters, not endless, its suffix kept."""
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
