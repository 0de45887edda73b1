"""What Telegram is told of a stored video, read from its header by hand; the encoder is a real one."""

import io
import struct
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from services.adapters.telegram.video_file import VideoFacts, parse_moov, read_facts, thumbnail
from services.platform.blobs import BlobStore, FolderBlobs, one_chunk
from tests.support.each import each


def film(path: Path, width: int = 96, height: int = 160, seconds: int = 3, movflags: str = "") -> bytes:
    """Encoded for real; `movflags` says where its header lies."""
    with av.open(
        str(path), "w", format="mp4", options={"movflags": movflags} if movflags else {}
    ) as container:
        stream: Any = container.add_stream("h264", rate=5)
        stream.width, stream.height = width, height
        for _ in range(5 * seconds):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (width, height), "grey"))))
        container.mux(stream.encode())
    return path.read_bytes()


def photo(size: tuple[int, int] = (900, 600)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, "JPEG")
    return file.getvalue()


async def stored(blobs: BlobStore, key: str, data: bytes) -> str:
    return (await blobs.put(key, one_chunk(data), size_bytes_max=len(data))).key


@each("movflags", ["faststart", ""])
async def test_a_real_videos_facts_wherever_its_header_lies(tmp_path: Path, movflags: str) -> None:
    blobs = FolderBlobs(tmp_path / f"blobs{movflags}")
    data = film(tmp_path / "film.mp4", movflags=movflags)
    assert (data.index(b"moov") < data.index(b"mdat")) == bool(movflags)
    video = await stored(blobs, "videos/v.mp4", data)
    found = await read_facts(blobs, video, await stored(blobs, "photos/p.jpg", photo()))
    assert (found.width, found.height, found.duration) == (96, 160, 3)
    assert found.thumbnail is not None
    alone = await read_facts(blobs, video, "photos/gone.jpg")
    assert alone == VideoFacts(96, 160, 3)


async def test_nobody_goes_without_a_video_because_of_its_header(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    whole = film(tmp_path / "film.mp4", movflags="faststart")
    moov = whole.index(b"moov")
    for number, data in enumerate(
        (
            b"mp4 bytes",
            b"\x1a\x45\xdf\xa3 webm",
            whole[: moov + 20],
            whole[: moov - 4] + struct.pack(">I4sQ", 1, b"moov", 2**63),
            whole[: moov - 4] + struct.pack(">I4s", 0, b"free"),
            struct.pack(">I4s", 8, b"free") * 200,
            whole.replace(b"mvhd", b"xxxx"),
        )
    ):
        key = await stored(blobs, f"videos/v{number}.mp4", data)
        assert await read_facts(blobs, key, "") == VideoFacts()
    assert await read_facts(blobs, "videos/none.mp4", "") == VideoFacts()
    odd = await stored(blobs, "videos/odd.mp4", whole)
    assert (
        await read_facts(blobs, odd, await stored(blobs, "photos/odd.jpg", b"no picture"))
    ).thumbnail is None


def test_the_long_form_of_the_header() -> None:
    header = b"\1\0\0\0" + struct.pack(">QQIQ", 0, 0, 1000, 61_400)
    box = struct.pack(">I4s", 8 + len(header), b"mvhd") + header
    assert parse_moov(box) == VideoFacts(None, None, 61)
    with pytest.raises(struct.error):
        parse_moov(b"")


@each(("sides", "size"), [((720, 1280), (180, 320)), ((1280, 720), (320, 180)), ((1, 5000), (1, 320))])
def test_a_thumbnail_has_the_videos_proportions(sides: tuple[int, int], size: tuple[int, int]) -> None:
    data = thumbnail(photo(), *sides)
    assert Image.open(io.BytesIO(data)).size == size and len(data) < 200_000
