"""What one photo can cost: a file of a few bytes may ask for gigabytes, and for hours."""

import asyncio
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from services.bot import photos
from services.bot import photos as e
from services.bot.photos import PIXELS_MAX, SCANS_MAX, prepare, prepare_photo
from tests.support.services import ROOT
from tests.support.waiting import eventually
from tests.unit.services.bot.test_photos import GREEN, encoded

pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")


def png_header(width: int, height: int, color_type: int = 2) -> bytes:
    """A PNG that claims a size and holds one deflated run of zeros: a few kilobytes that want gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    ihdr = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    body = zlib.compress(bytes(2_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def png_of_zeros(side: int, color_type: int) -> bytes:
    """A whole PNG of nothing: a hundred kilobytes that want a hundred megabytes."""
    image = Image.new({2: "RGB", 6: "RGBA"}[color_type], (side, side))
    return encoded(image, "PNG", compress_level=9)


@pytest.mark.parametrize("size", [(10_000, 5_000), (10_000, 9_500), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused_from_the_header(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """50, 95 and 400 megapixels: under, over, and far over Pillow's own limits."""
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("a bomb was decoded"))
    with pytest.raises(e.TooManyPixelsError):
        prepare(png_header(*size))


@pytest.mark.parametrize(
    ("name", "side", "options"),
    [
        ("JPEG", 6400, {}),
        ("progressive JPEG", 5100, {"progressive": True}),
        ("PNG", 5100, {}),
        ("WEBP", 3536, {"lossless": True, "method": 0}),
    ],
)
def test_each_format_has_its_own_limit(
    name: str, side: int, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(Image.new("L", (side, side)), name.rpartition(" ")[2], **options)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(e.TooManyPixelsError) as caught:
        prepare(data)
    assert caught.value.most == PIXELS_MAX[name]


def scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, of a few bytes, comes again and again."""
    data = encoded(Image.new("RGB", (600, 600), GREEN), progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (count - data.count(b"\xff\xda")) + data[-2:]


def test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed, too_many = scans(SCANS_MAX), scans(SCANS_MAX + 1)
    assert prepare(allowed).width == 600
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(e.DamagedImageError):
        prepare(too_many)


HOSTILE = {
    "png": lambda: png_of_zeros(5000, color_type=6),
    "webp": lambda: encoded(Image.new("RGBA", (3535, 3535)), "WEBP", lossless=True, method=0),
    "jpeg": lambda: encoded(Image.new("RGB", (4950, 4950)), progressive=True, subsampling=0),
    "narrow": lambda: encoded(Image.new("RGB", (14_000, 2850))),
}
PEAK_MIB_MAX = 320


def test_the_memory_of_one_photo_is_bounded(tmp_path: Path) -> None:
    """The largest of each format that is taken, in a process of its own, with all that it imports."""
    for kind, make in HOSTILE.items():
        (tmp_path / kind).write_bytes(make())
    program = f"""
from pathlib import Path
from services.bot.photos import prepare
for path in sorted(Path({str(tmp_path)!r}).iterdir()):
    prepare(path.read_bytes())
    print(*(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    peaks_mib = {
        kind: int(peak) / 1024 for kind, peak in zip(sorted(HOSTILE), done.stdout.split(), strict=True)
    }
    assert {kind: peak for kind, peak in peaks_mib.items() if peak >= PEAK_MIB_MAX} == {}


async def test_one_photo_of_a_person_is_in_hand_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nobody waits for it any more: a thread cannot be cancelled."""
    began: list[bytes] = []
    let_go = threading.Event()

    def slow(data: bytes) -> photos.Photo:
        began.append(data)
        let_go.wait(60)
        return photos.Photo(data, 1, 1)

    monkeypatch.setattr(photos, "prepare", slow)
    first = asyncio.create_task(prepare_photo(b"1", "a1"))
    await eventually(lambda: began)
    first.cancel()
    second = asyncio.create_task(prepare_photo(b"2", "a1"))
    other = asyncio.create_task(prepare_photo(b"3", "a2"))
    await eventually(lambda: len(began) == 2)
    assert began == [b"1", b"3"]
    let_go.set()
    assert [(await task).data for task in (second, other)] == [b"2", b"3"]
    assert began == [b"1", b"3", b"2"] and not photos._in_hand
