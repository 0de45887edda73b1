"""A log that has grown too long: what is kept of it, and who goes on writing."""

import shutil
from pathlib import Path

import pytest

from services.local.log_rotation import rotate_logs


def test_a_long_log_is_moved_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log, short, aside = tmp_path / "bot.log", tmp_path / "web.log", tmp_path / "bot.log.1"
    aside.write_text("the one before")
    short.write_text("short")
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old" * 10)
        assert rotate_logs([log, short, tmp_path / "none.log"], bytes_max=20) == [log]
        writer.write(b"new")
    assert (log.read_text(), short.read_text(), aside.read_text()) == ("new", "short", "old" * 10)


def test_without_room_for_the_copy_the_log_is_emptied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "bot.log"
    log.write_text("old" * 10)

    def full(_: Path, there: Path) -> None:
        there.write_text("ol")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy", full)
    assert rotate_logs([log], bytes_max=20) == [log]
    assert (log.read_text(), list(tmp_path.iterdir())) == ("", [log])
