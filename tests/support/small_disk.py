"""A disk of its own for a folder, small enough to be filled."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._weight = folder / "weight"

    def fill(self) -> None:
        """To the last byte."""
        block = bytes(65_536)
        with contextlib.suppress(OSError), self._weight.open("wb", buffering=0) as file:
            while block:
                block = block[file.write(block) :] or bytes(65_536)

    def free(self) -> None:
        self._weight.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, size_mb: int, *, elsewhere: str = "") -> Iterator[SmallDisk]:
    """A tmpfs on `folder`, but for its folder `elsewhere`. Skips where there can be none."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = []
    try:
        _mount("-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", folder)
        mounted.append(folder)
        if elsewhere:
            outside, inside = folder.with_name(f"{folder.name}-{elsewhere}"), folder / elsewhere
            for there in (outside, inside):
                there.mkdir()
            _mount("--bind", outside, inside)
            mounted.append(inside)
        yield SmallDisk(folder)
    finally:
        for place in reversed(mounted):
            subprocess.run(["umount", "--lazy", place], check=True)


def _mount(*words: str | Path) -> None:
    tried = subprocess.run(["mount", *words], check=False, capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no small disk can be made here: {tried.stderr.strip()}")
