"""Blob store for photos and videos: a folder.

Keys are relative paths of lower-case letters, digits, `-`, `_`, `.` and `/`, e.g. `photos/3f…e1.jpg`.
"""

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Iterable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from events.errors import NeurocardsError
from services.platform.ids import new_id
from services.platform.settings import Settings
from services.platform.tracing import traced

CHUNK_BYTES = 256 * 1024
_KEY = re.compile(r"[a-z0-9][a-z0-9_\-]*(/[a-z0-9][a-z0-9_\-.]*)*")


class BlobError(NeurocardsError):
    """A blob cannot be stored or read."""


class BlobTooLargeError(BlobError):
    """The bytes exceed the limit given; nothing was stored."""


class StoredBlob(msgspec.Struct, frozen=True):
    key: str
    sha256: str
    size_bytes: int


async def one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


class BlobStore:
    """Blobs as files, written in `.partial`, synced and renamed: what `put` has returned for is durable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._partial = root / ".partial"

    @property
    def exists(self) -> bool:
        """Whether its folder is on this machine."""
        return self._root.is_dir()

    @traced("store")
    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        """Store a stream atomically; storing again replaces. Raises BlobTooLargeError."""
        path = self._path(key)
        partial = self._partial / f".{_aside(key)}.{new_id()}"
        digest, size = sha256(), 0
        for folder in (path.parent, self._partial):
            await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        try:
            with await asyncio.to_thread(partial.open, "wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > size_bytes_max:
                        raise BlobTooLargeError(f"{key} is larger than {size_bytes_max} bytes")
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(_sync, file)
            await asyncio.to_thread(_rename, partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return StoredBlob(key, digest.hexdigest(), size)

    async def get(self, key: str) -> bytes:
        """All bytes. Raises BlobError when there are none."""
        try:
            return await asyncio.to_thread(self._path(key).read_bytes)
        except FileNotFoundError as error:
            raise BlobError(f"there is no blob {key}") from error

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes in chunks, at most `length` of them from `start` on. Raises BlobError without a blob."""
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except FileNotFoundError as error:
            raise BlobError(f"there is no blob {key}") from error
        with file:
            await asyncio.to_thread(file.seek, start)
            left = sys.maxsize if length is None else length
            while chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, left)):
                left -= len(chunk)
                yield chunk

    async def sha256(self, key: str) -> str | None:
        """The SHA-256 of its bytes, in hex; None when there is no blob."""
        digest = sha256()
        try:
            async for chunk in self.stream(key):
                digest.update(chunk)
        except BlobError:
            return None
        return digest.hexdigest()

    async def size_bytes(self, key: str) -> int | None:
        """The blob's size, or None when there is none."""
        return (await self.sizes([key]))[0]

    async def sizes(self, keys: Iterable[str]) -> list[int | None]:
        """Sizes of blobs in bytes; None for what is not there."""
        return await asyncio.to_thread(lambda: [self._size(key) for key in keys])

    def _size(self, key: str) -> int | None:
        try:
            return self._path(key).stat().st_size
        except (FileNotFoundError, BlobError):
            return None

    async def delete(self, key: str) -> None:
        """Delete it with its partial uploads; no error when missing."""
        for path in (self._path(key), *self._partial.glob(f".{_aside(key)}.*")):
            await asyncio.to_thread(path.unlink, True)

    async def delete_partial(self, age_s: float) -> None:
        """Delete partial uploads of a `put` that died so long ago."""
        await asyncio.to_thread(self._delete_partial, time.time() - age_s)

    def _delete_partial(self, before_s: float) -> None:
        for path in self._partial.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before_s:
                    path.unlink()

    def _path(self, key: str) -> Path:
        if len(key) > 200 or not _KEY.fullmatch(key):
            raise BlobError(f"{key!r} is not a blob key")
        return self._root / key


def _aside(key: str) -> str:
    return key.replace("/", "+")


def open_blobs(settings: Settings) -> BlobStore:
    return BlobStore(settings.data_dir / "blobs")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _rename(partial: Path, path: Path) -> None:
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name is durable too
    finally:
        os.close(folder)
