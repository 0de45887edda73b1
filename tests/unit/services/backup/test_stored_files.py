"""Photos, videos, notes and the key: copied once, linked afterwards, put back where they are missing."""

from pathlib import Path

import pytest

from services.backup import stored_files
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
