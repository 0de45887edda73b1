"""A disk of its own for a folder, small enough to be filled; and a Redis that keeps its data on one."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from services.platform.redis import command_client
from services.platform.settings import load_settings
from tests.support.servers import own_valkey, short_folder


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._weight = folder / "weight"

    def fill(self, room_bytes: int = 0) -> None:
        """To the last byte, or until there is only so much room."""
        block = bytes(65_536)
        with contextlib.suppress(OSError), self._weight.open("wb", buffering=0) as file:
            while shutil.disk_usage(self.folder).free > room_bytes or not room_bytes:
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


class SmallRedis(msgspec.Struct):
    """A Redis on a small disk."""

    disk: SmallDisk
    url: str
    redis: Redis

    async def refuse_writes(self) -> None:
        """Fill its disk, and write until it takes nothing any more: it says MISCONF, and reads go on."""
        self.disk.fill()
        with pytest.raises(ResponseError, match=r"MISCONF.*No space left"):
            while True:
                await self.redis.set("weight", bytes(4096))

    async def make_room(self) -> None:
        """Free the disk; a moment later the server has seen it."""
        self.disk.free()
        while True:
            with contextlib.suppress(ResponseError):
                await self.redis.delete("weight")
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def small_redis() -> AsyncIterator[SmallRedis]:
    with (
        short_folder() as folder,
        small_disk(folder / "disk", 16) as disk,
        own_valkey(disk.folder, durable=True) as server,
    ):
        async with command_client(load_settings(redis_url=server.url())) as redis:
            yield SmallRedis(disk, server.url(), redis)
