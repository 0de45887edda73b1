"""While photos and videos move from one store to another, all are found, and erased ones stay away."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.platform.blob_stores import MovingBlobs
from services.platform.blobs import BlobFacts, FolderBlobs, StoredBlob, one_chunk

KEY = "videos/a.mp4"
Hook = Callable[[], Awaitable[object]]


class Told(FolderBlobs):
    """Runs what it is told before or after a call."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.before: dict[str, Hook] = {}
        self.after: dict[str, Hook] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        stored: StoredBlob = await super().put(key, chunks, size_bytes_max=size_bytes_max)
        if hook := self.after.pop("put", None):
            await hook()
        return stored

    async def stream(self, key: str, *, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        if hook := self.before.pop("stream", None):
            await hook()
        async for chunk in super().stream(key, start=start, length=length):
            yield chunk

    async def sizes(self, keys: Any) -> list[int | None]:
        found = await super().sizes(keys)
        if hook := self.after.pop("sizes", None):
            await hook()
        return found


@pytest.fixture
def blobs(tmp_path: Path) -> MovingBlobs:
    return MovingBlobs(Told(tmp_path / "new"), Told(tmp_path / "old"))


async def store(blobs: FolderBlobs | Any, data: bytes = b"video") -> BlobFacts:
    await blobs.put(KEY, one_chunk(data), size_bytes_max=100)
    return BlobFacts(KEY, len(data), 0)


async def test_what_is_in_either_is_read_and_what_is_deleted_goes_from_both(blobs: MovingBlobs) -> None:
    facts = await store(blobs.former)
    assert (await blobs.get(KEY), await blobs.size_bytes(KEY)) == (b"video", 5)
    assert await blobs.move(facts, delete=False) == "copied"
    assert await blobs.move(facts, delete=False) == "there"
    assert [found.key async for found in blobs.all()] == [KEY]
    await blobs.delete(KEY)
    assert await blobs.former.size_bytes(KEY) is await blobs.current.size_bytes(KEY) is None


async def test_a_moved_blob_is_only_in_the_new_store(blobs: MovingBlobs) -> None:
    facts = await store(blobs.former)
    assert await blobs.move(facts, delete=True) == "copied"
    assert await blobs.former.size_bytes(KEY) is None and await blobs.current.get(KEY) == b"video"
    assert await blobs.move(facts, delete=True) == "there"  # by a list from before
    assert await blobs.get(KEY) == b"video"


@pytest.mark.parametrize("delete", [True, False])
@pytest.mark.parametrize(
    ("store_name", "when", "call"),
    [
        ("former", "before", "stream"), ("current", "after", "put"), ("former", "after", "sizes"),
        ("current", "after", "sizes"),
    ],
)  # fmt: skip
async def test_who_is_erased_while_their_video_moves_is_gone_from_both(
    blobs: MovingBlobs, store_name: str, when: str, call: str, delete: bool
) -> None:
    facts = await store(blobs.former)

    async def erase() -> None:
        await blobs.delete(KEY)

    getattr(getattr(blobs, store_name), when)[call] = erase
    await blobs.move(facts, delete=delete)
    assert not getattr(getattr(blobs, store_name), when), "the erasing came in between"
    assert [found async for found in blobs.all()] == []


async def test_half_an_erasing_is_ended_by_whichever_comes_last(blobs: MovingBlobs) -> None:
    """It took the former one away before the copy was looked at, and asks the current store later."""
    facts = await store(blobs.former)
    assert isinstance(blobs.current, Told)
    blobs.current.after["put"] = lambda: blobs.former.delete(KEY)
    assert await blobs.move(facts, delete=False) == "erased"
    assert await blobs.current.size_bytes(KEY) is None


async def test_nothing_is_deleted_that_is_not_the_same_in_both(blobs: MovingBlobs) -> None:
    facts = await store(blobs.former)
    await store(blobs.current, b"other")
    assert await blobs.move(facts, delete=True) == "is another in each store"
    await blobs.current.delete(KEY)
    await store(blobs.current, b"longer")
    assert "holds other bytes" in await blobs.move(facts, delete=True)
    assert await blobs.former.get(KEY) == b"video"


async def test_a_copy_that_was_damaged_is_told_and_the_first_stays(blobs: MovingBlobs) -> None:
    facts = await store(blobs.former)
    assert isinstance(blobs.current, Told)

    async def damage() -> None:
        (blobs.current.root / KEY).write_bytes(b"vide0")  # type: ignore[attr-defined]

    blobs.current.after["put"] = damage
    assert await blobs.move(facts, delete=True) == "does not come back as it was stored"
    assert await blobs.former.get(KEY) == b"video"


async def test_a_blob_that_moves_between_two_looks_is_found(blobs: MovingBlobs) -> None:
    for read in (lambda: blobs.get(KEY), lambda: blobs.sizes([KEY])):
        facts = await store(blobs.former)
        assert isinstance(blobs.current, Told)
        assert isinstance(blobs.former, Told)
        move = partial(blobs.move, facts, delete=True)
        blobs.former.before["stream"] = blobs.current.after["sizes"] = move
        assert await read() in (b"video", [5])
        blobs.former.before.clear()
        blobs.current.after.clear()
        await blobs.delete(KEY)
