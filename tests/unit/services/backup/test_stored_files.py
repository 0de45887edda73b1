"""Photos, videos, notes and the key: copied once, linked afterwards, put back where they are missing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.backup import stored_files
from services.platform.blobs import FolderBlobs, one_chunk
from services.platform.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    data = tmp_path / "data"
    for name in ("blobs/photos/a.jpg", "blobs/videos/b.mp4", "checkpoints/one.note", "keys/checkpoint.key"):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(name)
    (data / "blobs/videos/.half").write_text("not whole")
    return load_settings(data_dir=data)


def keep(settings: Settings, target: Path, earlier: Path | None = None) -> list[str]:
    target.mkdir()
    return [
        kept.path
        for kept in stored_files.copy_in(stored_files.sources(settings), target, earlier, lambda _: None)
    ]


def test_what_an_earlier_backup_holds_is_linked_and_damage_is_found(
    settings: Settings, tmp_path: Path
) -> None:
    paths = keep(settings, tmp_path / "one")
    assert paths == ["blobs/photos/a.jpg", "blobs/videos/b.mp4", "checkpoints/one.note", "checkpoint.key"]
    (settings.data_dir / "blobs/videos/b.mp4").unlink()
    (settings.data_dir / "blobs/videos/b.mp4").write_text("another video")
    assert keep(settings, tmp_path / "two", tmp_path / "one") == paths

    def inode(backup: str, path: str) -> int:
        return (tmp_path / backup / "files" / path).stat().st_ino

    assert inode("one", "blobs/photos/a.jpg") == inode("two", "blobs/photos/a.jpg")
    assert inode("one", "blobs/videos/b.mp4") != inode("two", "blobs/videos/b.mp4")
    assert stored_files.damaged(tmp_path / "one") == stored_files.damaged(tmp_path / "two") == []
    (tmp_path / "two/files/blobs/videos/b.mp4").write_text("another vide0")
    (tmp_path / "two/files/checkpoint.key").unlink()
    assert stored_files.damaged(tmp_path / "two") == [
        "blobs/videos/b.mp4 is not what was backed up", "checkpoint.key is missing",
    ]  # fmt: skip


def test_only_what_is_missing_is_put_back_and_what_was_erased_only_when_asked(
    settings: Settings, tmp_path: Path
) -> None:
    keep(settings, tmp_path / "one")
    data = settings.data_dir
    (data / "blobs/photos/a.jpg").unlink()
    (data / "keys/checkpoint.key").unlink()
    (data / "checkpoints/one.note").write_text("newer")
    assert stored_files.put_back(tmp_path / "one", settings, blobs=False) == 1
    assert not (data / "blobs/photos/a.jpg").exists()
    assert stored_files.put_back(tmp_path / "one", settings, blobs=True) == 1
    assert (data / "blobs/photos/a.jpg").read_text() == "blobs/photos/a.jpg"
    assert (data / "keys/checkpoint.key").read_text() == "keys/checkpoint.key"
    assert (data / "checkpoints/one.note").read_text() == "newer"


async def test_a_bucket_is_fetched_once_linked_afterwards_and_put_back_where_it_lacks(tmp_path: Path) -> None:
    """Any store will do: the bucket's own ways are held by test_blobs.py."""
    blobs = FolderBlobs(tmp_path / "bucket")
    settings = load_settings(data_dir=tmp_path / "data", blobs_url="s3://media?endpoint=http://127.0.0.1:1")
    for name in ("photos/a.jpg", "videos/b.mp4"):
        await blobs.put(name, one_chunk(name.encode()), size_bytes_max=99)

    async def take(name: str, earlier: Path | None = None) -> Path:
        (tmp_path / name).mkdir()
        told: list[tuple[int, int]] = []
        fetched = await stored_files.copy_blobs(
            blobs, tmp_path / name, earlier, lambda done, total: told.append((done, total))
        )
        assert told[-1][0] == told[-1][1]
        wanted = stored_files.sources(settings)
        assert "blobs" not in wanted, "the folder is not where they are"
        stored_files.copy_in(wanted, tmp_path / name, earlier, lambda _: None, fetched)
        assert stored_files.damaged(tmp_path / name) == []
        return tmp_path / name

    one = await take("one")
    await blobs.put("videos/c.mp4", one_chunk(b"later"), size_bytes_max=99)
    two = await take("two", one)
    assert {kept.path for kept in stored_files.read_list(two)} == {
        "blobs/photos/a.jpg", "blobs/videos/b.mp4", "blobs/videos/c.mp4",
    }  # fmt: skip
    assert (one / "files/blobs/photos/a.jpg").samefile(two / "files/blobs/photos/a.jpg")
    await blobs.delete("photos/a.jpg")
    assert stored_files.put_back(two, settings, blobs=True) == 0 and not (tmp_path / "data/blobs").exists()
    assert await stored_files.put_back_blobs(two, blobs) == 1
    assert await blobs.get("photos/a.jpg") == b"photos/a.jpg"


async def test_what_is_erased_while_it_is_fetched_is_in_no_backup(tmp_path: Path) -> None:
    class Erasing(FolderBlobs):
        async def stream(
            self, key: str, *, start: int = 0, length: int | None = None
        ) -> AsyncIterator[bytes]:
            await self.delete(key)
            async for chunk in super().stream(key, start=start, length=length):
                yield chunk

    blobs = Erasing(tmp_path / "bucket")
    await blobs.put("photos/a.jpg", one_chunk(b"photo"), size_bytes_max=99)
    assert await stored_files.copy_blobs(blobs, tmp_path / "one", None, lambda *_: None) == []
    assert not [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
