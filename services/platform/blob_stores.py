"""Which store has the photos and videos; the move from a former one.

While there is a former one, what is read is looked for in both, and what is deleted goes from both: first
from the former, so that a copy made meanwhile is deleted by the second call, or by who made it.
"""

from collections.abc import AsyncIterator, Iterable

from pydantic import SecretStr

from services.platform.blobs import (
    BlobError,
    BlobFacts,
    BlobMissingError,
    BlobStore,
    FolderBlobs,
    StoredBlob,
)
from services.platform.settings import Settings
from services.platform.settings_types import FOLDER


class MovingBlobs(BlobStore):
    """Two stores as one: `current` takes what is new, `former` is read where the other has nothing."""

    def __init__(self, current: BlobStore, former: BlobStore) -> None:
        self.current = current
        self.former = former
        self._in_turn = (current, former, current)
        """A blob may come over between two looks."""

    @property
    def exists(self) -> bool:
        return self.current.exists or self.former.exists

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        return await self.current.put(key, chunks, size_bytes_max=size_bytes_max)

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        done = 0
        for store in self._in_turn:
            try:
                left = None if length is None else length - done
                async for chunk in store.stream(key, start=start + done, length=left):
                    done += len(chunk)
                    yield chunk
                return
            except BlobMissingError:
                continue
        raise BlobMissingError(f"there is no blob {key}")

    async def sizes(self, keys: Iterable[str]) -> list[int | None]:
        wanted = list(keys)
        found: dict[str, int | None] = dict.fromkeys(wanted)
        for store in self._in_turn:
            missing = [key for key, size in found.items() if size is None]
            found |= zip(missing, await store.sizes(missing), strict=True)
        return [found[key] for key in wanted]

    async def all(self) -> AsyncIterator[BlobFacts]:
        seen = set()
        for store in (self.former, self.current):
            async for facts in store.all():
                if facts.key not in seen:
                    seen.add(facts.key)
                    yield facts

    async def delete(self, key: str) -> None:
        await self.former.delete(key)
        await self.current.delete(key)

    async def delete_partial(self, age_s: float) -> None:
        await self.former.delete_partial(age_s)
        await self.current.delete_partial(age_s)

    async def move(self, facts: BlobFacts, *, delete: bool) -> str:
        """Copy a blob from the former store to the current one.

        With `delete` it goes from the former once both hold the same bytes. Says "copied", "there" (it was),
        "erased" (meanwhile) or why it stays. Can be repeated.
        """
        key, said = facts.key, "there"
        try:
            if await self.current.size_bytes(key) != facts.size_bytes:
                stored = await self.current.put(key, self.former.stream(key), size_bytes_max=facts.size_bytes)
                said = "copied"
                if await self.former.size_bytes(key) is None:
                    await self.current.delete(key)
                    return "erased"
                if await self.current.sha256(key) != stored.sha256:
                    return "does not come back as it was stored"
            if delete and (there := await self.former.sha256(key)):
                if await self.current.sha256(key) != there:
                    return "is another in each store"
                await self.former.delete(key)
        except BlobMissingError:
            return "erased"
        except BlobError as error:
            return str(error)
        return said


def open_blobs(settings: Settings) -> BlobStore:
    """The store, or both while there is a former one; nothing is connected yet."""
    keys = settings.blobs_key or settings.blobs_read_key
    current = _store(settings, settings.blobs_url, keys[:1])
    if settings.blobs_former_url is None:
        return current
    former = None if settings.blobs_former_url == FOLDER else settings.blobs_former_url
    return MovingBlobs(current, _store(settings, former, keys[-1:]))


def _store(settings: Settings, url: str | None, key: tuple[SecretStr, ...]) -> BlobStore:
    if url is None:
        return FolderBlobs(settings.data_dir.expanduser() / "blobs")
    from services.platform.s3_blobs import S3Blobs  # loads a client that a folder does not need

    return S3Blobs(url, key[0].get_secret_value() if key else None)
