"""Blobs in a bucket of S3; `If-None-Match` keeps a key from being rewritten.

The client's own coroutines may abort the interpreter at its exit: its plain calls run here, in threads, as
those of files do.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from services.platform.blobs import (
    CHUNK_BYTES,
    BlobFacts,
    BlobMissingError,
    BlobStore,
    BlobStoreAwayError,
    BlobTooLargeError,
    StoredBlob,
    aside,
    checked,
    is_key,
)
from services.platform.ids import new_id
from services.platform.metrics import BLOB_STORE_FAILURES
from services.platform.settings_types import s3_place
from services.platform.tracing import traced

if TYPE_CHECKING:
    from obstore.store import S3Config

PART_BYTES: Final = 8 * 1024 * 1024
"""What is smaller is stored in one request; what is larger in parts, aside, and named when whole."""
_WINDOW_BYTES: Final = 4 * 1024 * 1024
"""Read at once: whoever takes a video slowly keeps no request waiting."""
_CALLS_MAX: Final = 16
_CONNECT_S: Final = 5
_ANSWER_S: Final = 60
_RETRY_S: Final = 10
_BUCKET_S: Final = 60.0
_PARTIAL: Final = ".partial"
_SAID: Final = (
    r"<Code>(\w{1,60})</Code>", r"status code: (\d+ [A-Za-z ]{1,40})", r"HTTP error: ([^\n]{1,100})",
)  # fmt: skip
_Result = TypeVar("_Result")


class S3Blobs(BlobStore):
    """Blobs as objects below the prefix of `url`. `key`: `ID:SECRET`; without, the machine's role counts."""

    def __init__(self, url: str, key: str | None) -> None:
        bucket, prefix, known = s3_place(url)
        self.place = f"s3://{bucket}/{prefix}".rstrip("/")
        config: S3Config = {
            "region": known.get("region", "us-east-1"),
            "copy_if_not_exists": "multipart",
            "checksum_algorithm": "SHA256",
            "disable_bulk_delete": True,
        }
        if "endpoint" in known:
            config["endpoint"] = known["endpoint"]
        if key:
            config["access_key_id"], _, config["secret_access_key"] = key.partition(":")
        answer_s, connect_s = timedelta(seconds=_ANSWER_S), timedelta(seconds=_CONNECT_S)
        self._store = S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options={"allow_http": True, "connect_timeout": connect_s, "timeout": answer_s},
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=_RETRY_S)},
        )
        self._threads = ThreadPoolExecutor(_CALLS_MAX, "s3")
        self._bucket_seen_s = -_BUCKET_S

    @traced("store")
    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        partial = f"{_PARTIAL}/{aside(checked(key))}.{new_id()}"
        digest, size, waiting, writer = sha256(), 0, bytearray(), None
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > size_bytes_max:
                    raise BlobTooLargeError(f"{key} is larger than {size_bytes_max} bytes")
                digest.update(chunk)
                waiting += chunk
                if len(waiting) >= PART_BYTES:
                    if writer is None:
                        writer = obstore.open_writer(
                            self._store, partial, buffer_size=PART_BYTES, max_concurrency=2
                        )
                    await self._do(key, writer.write, bytes(waiting))
                    waiting.clear()
            blob = StoredBlob(key, digest.hexdigest(), size)
            try:
                if writer is None:
                    await self._do(key, obstore.put, self._store, key, bytes(waiting), mode="create")
                    return blob
                await self._do(key, writer.write, bytes(waiting))
                await self._do(key, writer.close)
                await self._do(key, obstore.copy, self._store, partial, key, overwrite=False)
            except AlreadyExistsError:
                return await self._same(blob)
            return blob
        except BaseException as error:
            if writer is not None:
                with suppress(Exception):  # parts that are left nobody sees; the bucket's rule removes them
                    await self._do(key, writer.__exit__, type(error), error, None)
            raise
        finally:
            if writer is not None:
                with suppress(BlobStoreAwayError):  # retention deletes it
                    await self._do(key, obstore.delete, self._store, partial)

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        end = None if length is None else start + length
        while end is None or start < end:
            until = min(start + _WINDOW_BYTES, end or start + _WINDOW_BYTES)
            data, size = await self._do(key, self._window, checked(key), start, until)
            for at in range(0, len(data), CHUNK_BYTES):
                yield data[at : at + CHUNK_BYTES]
            start, end = until, min(size, size if end is None else end)

    def _window(self, key: str, start: int, end: int) -> tuple[bytes, int]:
        """Bytes of a part, and the size of the whole."""
        try:
            found = obstore.get(self._store, key, options={"range": (start, end)})
            return bytes(found.bytes()), found.meta["size"]
        except BaseError as error:
            if " 416 " in str(error):  # there is nothing from there on
                return b"", start
            raise

    async def sizes(self, keys: Iterable[str]) -> list[int | None]:
        return await asyncio.gather(*[self._size(key) for key in keys])

    async def _size(self, key: str) -> int | None:
        try:
            return int((await self._do(key, obstore.head, self._store, checked(key)))["size"])
        except BlobMissingError:
            if monotonic() - self._bucket_seen_s > _BUCKET_S:
                with suppress(BlobMissingError):  # this answer has a body, which says if it is the bucket
                    await self._do(key, self._window, key, 0, 1)
                self._bucket_seen_s = monotonic()
            return None

    async def all(self) -> AsyncIterator[BlobFacts]:
        pages = iter(obstore.list(self._store))
        while page := await self._do("", next, pages, ()):
            for found in page:
                if is_key(found["path"]):  # others' files, and what is not whole, are no blobs
                    modified_ns = int(found["last_modified"].timestamp() * 1e9)
                    yield BlobFacts(found["path"], found["size"], modified_ns)

    async def delete(self, key: str) -> None:
        partial = await self._partial(f"{aside(checked(key))}.")
        for path in (key, *(found["path"] for found in partial)):
            await self._do(key, obstore.delete, self._store, path)

    async def delete_partial(self, age_s: float) -> None:
        before = datetime.now(UTC) - timedelta(seconds=age_s)
        for found in await self._partial(""):
            if found["last_modified"] < before:
                await self._do("", obstore.delete, self._store, found["path"])

    async def _partial(self, name: str) -> list[Any]:
        def listed() -> list[Any]:  # a prefix is whole segments here
            pages = obstore.list(self._store, _PARTIAL)
            return [
                found for page in pages for found in page if found["path"].startswith(f"{_PARTIAL}/{name}")
            ]

        return await self._do("", listed)

    async def _do(self, key: str, call: Callable[..., _Result], *args: Any, **more: Any) -> _Result:
        """Call in a thread. Raises BlobMissingError, BlobStoreAwayError, AlreadyExistsError."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*args, **more))
        running.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            with self._told(key):
                return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running], timeout=5)  # two calls on one writer would get in each other's way
            raise

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            if "NoSuchBucket" not in str(error):
                raise BlobMissingError(f"there is no blob {key}") from None
            BLOB_STORE_FAILURES.inc()
            words = f"{self.place}: there is no such bucket; make it, or mend BLOBS_URL"
            raise BlobStoreAwayError(words) from None
        except AlreadyExistsError:
            raise
        except (PermissionDeniedError, UnauthenticatedError) as error:
            BLOB_STORE_FAILURES.inc()
            advice = "are BLOBS_KEY and BLOBS_READ_KEY right, and may do this?"
            raise BlobStoreAwayError(f"{self.place} refuses ({_said(error)}); {advice}") from None
        except BaseError as error:
            BLOB_STORE_FAILURES.inc()
            words = f"{self.place} does not answer as it should ({_said(error)}); is BLOBS_URL right?"
            raise BlobStoreAwayError(words) from None


def _said(error: BaseError) -> str:
    """The server's code or the connection's trouble; answers quote keys and what was signed."""
    for form in _SAID:
        if found := re.search(form, str(error)):
            return found[1].strip()
    return type(error).__name__
