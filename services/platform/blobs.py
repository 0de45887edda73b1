"""Blob store for photos and videos: a folder, or a bucket of S3 (docs/decisions/blob-storage.md).

Keys are relative paths of lower-case letters, digits, `-`, `_`, `.` and `/`, e.g. `photos/3f…e1.jpg`. A key
is written once: the same bytes again are fine, others are refused.
"""

import asyncio
import contextlib
import os
import re
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from events.errors import NeurocardsError
from services.platform.ids import new_id
from services.platform.tracing import traced

CHUNK_BYTES = 256 * 1024
_KEY = re.compile(r"[a-z0-9][a-z0-9_\-]*(/[a-z0-9][a-z0-9_\-.]*)*")


class BlobError(NeurocardsError):
    """A blob cannot be stored or read."""


class BlobMissingError(BlobError):
    """There is no blob of this key."""


class BlobTooLargeError(BlobError):
    """The bytes exceed the limit given; nothing was stored."""


class BlobConflictError(BlobError):
    """The key holds other bytes, which stay."""


class BlobStoreAwayError(NeurocardsError, OSError):
    """The store cannot be reached or refuses us; like trouble with a disk it passes or is mended."""


class StoredBlob(msgspec.Struct, frozen=True):
    key: str
    sha256: str
    size_bytes: int


class BlobFacts(msgspec.Struct, frozen=True):
    key: str
    size_bytes: int
    modified_ns: int


async def one_chunk(data: bytes) -> AsyncIterator[bytes]:
    yield data


class BlobStore(ABC):
    """What photos and videos are kept in. Every method raises BlobError for a key that is none, and OSError
    (BlobStoreAwayError) while the store is in trouble."""

    @property
    def exists(self) -> bool:
        """Whether it is to be had from here."""
        return True

    @abstractmethod
    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        """Store a stream, whole or not at all; durable on return. Raises BlobTooLargeError and
        BlobConflictError."""

    async def get(self, key: str) -> bytes:
        """All bytes. Raises BlobMissingError."""
        return b"".join([chunk async for chunk in self.stream(key)])

    @abstractmethod
    def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes in chunks, at most `length` of them from `start` on. Raises BlobMissingError."""

    @abstractmethod
    async def sizes(self, keys: Iterable[str]) -> list[int | None]:
        """Sizes of blobs in bytes; None for what is not there."""

    @abstractmethod
    def all(self) -> AsyncIterator[BlobFacts]:
        """All whole blobs, in no order."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete it with its partial uploads; no error when missing."""

    @abstractmethod
    async def delete_partial(self, age_s: float) -> None:
        """Delete partial uploads of a `put` that died so long ago."""

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

    async def stored(self, key: str) -> StoredBlob | None:
        """What is stored, its hash read from the bytes; None when there is none, or an empty one."""
        size_bytes = await self.size_bytes(key)
        digest = await self.sha256(key) if size_bytes else None
        return StoredBlob(key, digest, size_bytes) if digest and size_bytes else None

    async def _same(self, blob: StoredBlob) -> StoredBlob:
        """The blob whose key was taken, if by the same bytes. Raises BlobConflictError."""
        if await self.sha256(blob.key) != blob.sha256:
            raise BlobConflictError(f"{blob.key} holds other bytes already; a key is written once")
        return blob


class FolderBlobs(BlobStore):
    """Blobs as files, written in `.partial`, synced and linked: what `put` has returned for is durable."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._partial = root / ".partial"

    @property
    def exists(self) -> bool:
        """Whether its folder is on this machine."""
        return self.root.is_dir()

    @traced("store")
    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        path = self._path(key)
        partial = self._partial / f".{aside(key)}.{new_id()}"
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
            blob = StoredBlob(key, digest.hexdigest(), size)
            try:
                await asyncio.to_thread(_name, partial, path)
            except FileExistsError:
                return await self._same(blob)
            return blob
        finally:
            partial.unlink(missing_ok=True)

    async def get(self, key: str) -> bytes:
        try:
            return await asyncio.to_thread(self._path(key).read_bytes)
        except FileNotFoundError as error:
            raise BlobMissingError(f"there is no blob {key}") from error

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        try:
            file = await asyncio.to_thread(self._path(key).open, "rb")
        except FileNotFoundError as error:
            raise BlobMissingError(f"there is no blob {key}") from error
        with file:
            await asyncio.to_thread(file.seek, start)
            left = sys.maxsize if length is None else length
            while chunk := await asyncio.to_thread(file.read, min(CHUNK_BYTES, left)):
                left -= len(chunk)
                yield chunk

    async def sizes(self, keys: Iterable[str]) -> list[int | None]:
        return await asyncio.to_thread(lambda: [self._size(key) for key in keys])

    def _size(self, key: str) -> int | None:
        try:
            return self._path(key).stat().st_size
        except (FileNotFoundError, BlobError):
            return None

    async def all(self) -> AsyncIterator[BlobFacts]:
        for facts in await asyncio.to_thread(lambda: list(self._all())):
            yield facts

    def _all(self) -> Iterator[BlobFacts]:
        for path in self.root.glob("*/**/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and not path.name.startswith("."):
                    stat = path.stat()
                    yield BlobFacts(path.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime_ns)

    async def delete(self, key: str) -> None:
        for path in (self._path(key), *self._partial.glob(f".{aside(key)}.*")):
            await asyncio.to_thread(path.unlink, True)

    async def delete_partial(self, age_s: float) -> None:
        await asyncio.to_thread(self._delete_partial, time.time() - age_s)

    def _delete_partial(self, before_s: float) -> None:
        for path in self._partial.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before_s:
                    path.unlink()

    def _path(self, key: str) -> Path:
        return self.root / checked(key)


def checked(key: str) -> str:
    """The key. Raises BlobError when it is none, such as one that leads out of the store."""
    if not is_key(key):
        raise BlobError(f"{key!r} is not a blob key")
    return key


def is_key(text: str) -> bool:
    return len(text) <= 200 and bool(_KEY.fullmatch(text))


def aside(key: str) -> str:
    return key.replace("/", "+")


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _name(partial: Path, path: Path) -> None:
    """Give a whole file its name. Raises FileExistsError when the name is taken."""
    try:
        path.hardlink_to(partial)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError from None
        partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name is durable too
    finally:
        os.close(folder)
