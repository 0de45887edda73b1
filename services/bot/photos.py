"""Photo preparation: verified, turned upright, stripped of metadata, re-encoded.

The result fits every model of the catalogue: JPEG, sRGB, sides 300 to 2048, width/height 0.4 to 2.5 (padded
with white, the background marketplaces ask for).

Decompression bombs: a file of a few bytes can ask for gigabytes and hours. So before decoding its header must
keep within PIXELS_MAX of its format and SCANS_MAX; a JPEG is decoded at a fraction of its size; all else is
made smaller in strips, so that there is never a second copy of the decoded pixels. One photo takes some 250
MB and a second at most; two are in hand at a time, and one of each person.
"""

import asyncio
import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec
from PIL import Image, ImageCms, ImageOps

from events.errors import NeurocardsError


class PhotoError(NeurocardsError):
    """The bytes cannot be used as a photo; the seller should send another one."""


class NotAnImageError(PhotoError):
    """The bytes are no image."""


class UnsupportedFormatError(PhotoError):
    """An image of a format we do not take; `format` is its name."""

    def __init__(self, format_name: str) -> None:
        super().__init__(f"{format_name} is not taken; send JPEG, PNG or WebP")
        self.format = format_name


class AnimatedImageError(PhotoError):
    """The image has several frames; send a still one."""


class TooManyPhotosError(PhotoError):
    """PHOTO_BYTES_PER_DAY were sent, or are there unordered."""


class TooManyBytesError(PhotoError):
    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes are too many for a photo")
        self.size_bytes = size_bytes


class ImageSizeError(PhotoError):
    """Base of what is wrong with `width` and `height`, in pixels."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width}x{height}: {(self.__doc__ or '').strip()}")
        self.width = width
        self.height = height


class TooManyPixelsError(ImageSizeError):
    """The image is over PIXELS_MAX of its format, which is `most`."""

    def __init__(self, width: int, height: int, most: int) -> None:
        super().__init__(width, height)
        self.most = most


class TooSmallError(ImageSizeError):
    """A side is under SIDE_MIN."""


class TooNarrowError(ImageSizeError):
    """One side is more than PADDED_RATIO_MAX times the other."""


class DamagedImageError(PhotoError):
    """The image cannot be decoded to its end."""


PHOTO_BYTES_MAX: Final = 20 * 1024 * 1024
PIXELS_MAX: Final = {
    "JPEG": 40_000_000,
    "progressive JPEG": 25_000_000,  # its coefficients are all held at once, at full size
    "PNG": 25_000_000,
    "WEBP": 12_500_000,  # its decoder holds four copies
}
SCANS_MAX: Final = 64
"""Usual are 10 or less. Each costs a walk over the whole picture, and may be 31 bytes long."""
SIDE_MIN: Final = 300
SIDE_MAX: Final = 2048
RATIO_MIN: Final = 0.4
RATIO_MAX: Final = 2.5
PADDED_RATIO_MAX: Final = 5.0
"""A photo longer than this times its short side would be mostly padding."""

_JPEG_QUALITY: Final = 90
_AT_ONCE: Final = 2
_SCAN: Final = b"\xff\xda"
_STRIP_PIXELS: Final = 1_000_000
_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_ORIENTATION_TAG: Final = 0x0112
_WHITE: Final = (255, 255, 255)
_SRGB: Final = ImageCms.createProfile("sRGB")
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises on broken or hostile bytes, by reading its decoders and by fuzzing.
_BROKEN: Final = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, ZeroDivisionError,
    struct.error, zlib.error, RuntimeError,
)  # fmt: skip

# What is wrong with a photo is told by our errors, not by Pillow's warnings in the log.
warnings.filterwarnings("ignore", module=r"PIL\.")


class Photo(msgspec.Struct, frozen=True):
    """A photo fit for use: JPEG bytes, and its size in pixels."""

    data: bytes
    width: int
    height: int


_threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="photo")
_in_hand: dict[str, asyncio.Future[Photo]] = {}


async def prepare_photo(data: bytes, whose: str) -> Photo:
    """Prepare a photo in a thread, one at a time per person. Raises PhotoError."""
    while before := _in_hand.get(whose):
        await asyncio.wait([before])
    # Shielded: a thread cannot be cancelled, so its photo is in hand until it is done.
    work = asyncio.get_running_loop().run_in_executor(_threads, prepare, data)
    _in_hand[whose] = work

    def over(done: asyncio.Future[Photo]) -> None:
        del _in_hand[whose]
        done.exception()  # so that it counts as seen, should nobody wait any more

    work.add_done_callback(over)
    return await asyncio.shield(work)


def prepare(data: bytes) -> Photo:
    if len(data) > PHOTO_BYTES_MAX:
        raise TooManyBytesError(len(data))
    with _opened(data) as source:
        width, height = source.size
        turn = _turn(source)
        if min(width, height) < SIDE_MIN:
            raise TooSmallError(width, height)
        if width > height * PADDED_RATIO_MAX or height > width * PADDED_RATIO_MAX:
            raise TooNarrowError(width, height)
        scale = min(1.0, SIDE_MAX / max(width, height))
        try:
            source.draft("RGB", (int(width * scale), int(height * scale)))  # for JPEG
            source.load()
            image = _plain(source)
            image.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS)
        except (Image.DecompressionBombError, *_BROKEN) as error:
            raise DamagedImageError(f"cannot be decoded: {error}") from error
    if turn is not None:
        image = image.transpose(turn)
    image = _padded(image)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_JPEG_QUALITY)
    return Photo(out.getvalue(), image.width, image.height)


def _opened(data: bytes) -> Image.Image:
    """Read and check the header; the pixels are not decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        width, height = image.size
        jpeg = image.format in ("JPEG", "MPO")  # the latter: a phone's two pictures in one file
        progressive = jpeg and image.info.get("progressive")
        most = PIXELS_MAX["progressive JPEG" if progressive else "JPEG" if jpeg else str(image.format)]
        if width * height > most:
            raise TooManyPixelsError(width, height, most)
        if jpeg and (scans := data.count(_SCAN)) > SCANS_MAX:
            raise DamagedImageError(f"{scans} scans")
        frames = getattr(image, "n_frames", 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooManyPixelsError(0, 0, min(PIXELS_MAX.values())) from error
    except PhotoError:
        raise
    except _BROKEN as error:
        name = _format_name(data)
        if name in ("JPEG", "PNG", "WebP"):
            raise DamagedImageError(f"{name} with a broken header") from error
        if name:
            raise UnsupportedFormatError(name) from error
        raise NotAnImageError("no image format is recognised") from error
    if frames > 1 and not jpeg:
        raise AnimatedImageError(f"{frames} frames")
    return image


def _format_name(data: bytes) -> str:
    """Format by the first bytes; empty when not known."""
    for name, magics in _MAGICS.items():
        if data.startswith(magics):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return {b"avif": "AVIF", b"avis": "AVIF"}.get(brand, "HEIC" if brand in _HEIC_BRANDS else "")
    return ""


_HEIC_BRANDS: Final = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_MAGICS: Final = {
    "JPEG": (b"\xff\xd8\xff",),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\x00", b"MM\x00*"),
    "BMP": (b"BM",),
    "PSD": (b"8BPS",),
    "ICO": (b"\x00\x00\x01\x00",),
    "JPEG 2000": (b"\x00\x00\x00\x0cjP  ",),
    "JPEG XL": (b"\xff\x0a", b"\x00\x00\x00\x0cJXL "),
    "SVG": (b"<svg",),
}


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Transposition to upright, from EXIF; broken EXIF says nothing."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return None


def _plain(image: Image.Image) -> Image.Image:
    """Eight-bit sRGB on white, without metadata, at most twice the target size. In strips, so that there is
    no second picture of the decoded size beside it."""
    profile = image.info.get("icc_profile")
    clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    mode = "CMYK" if image.mode == "CMYK" else "RGB"
    by = max(1, max(image.size) // SIDE_MAX)
    plain = Image.new(mode, (-(-image.width // by), -(-image.height // by)))
    rows = by * max(1, _STRIP_PIXELS // (image.width * by))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        strip = _flat(strip) if clear else _eight_bit(strip)
        plain.paste(strip.convert(mode).reduce(by), (0, top // by))
    if image.mode in ("RGB", "CMYK") and profile and not clear:
        plain = _in_srgb(plain, profile)
    return plain if plain.mode == "RGB" else plain.convert("RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    if not image.mode.startswith("I"):
        return image
    return image.convert("I").point(lambda value: value * (1 / 256)).convert("L")


def _flat(image: Image.Image) -> Image.Image:
    layer = image.convert("RGBA")
    ground = Image.new("RGB", layer.size, _WHITE)
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB; an unusable profile is left out."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB")
    except (ImageCms.PyCMSError, *_BROKEN):
        return image
    return converted if converted is not None else image


def _padded(image: Image.Image) -> Image.Image:
    width = max(image.width, -int(-image.height * RATIO_MIN // 1))
    height = max(image.height, -int(-image.width / RATIO_MAX // 1))
    width, height = max(width, SIDE_MIN), max(height, SIDE_MIN)
    if (width, height) == image.size:
        return image
    return ImageOps.pad(image, (width, height), color=_WHITE)
