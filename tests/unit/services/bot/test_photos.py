"""Photos: what is taken comes out upright, plain and within limits; what is not is told apart."""

import io
import random
from typing import Any

import pytest
from PIL import Image, ImageCms

from services.bot import photos as e
from services.bot.photos import PHOTO_BYTES_MAX, RATIO_MAX, RATIO_MIN, SIDE_MAX, prepare, prepare_photo
from tests.support.each import each

# Pytest puts its own filters in place of those photos.py sets for Pillow's remarks on broken files.
pytestmark = pytest.mark.filterwarnings(r"ignore:::PIL\.")

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 30), (30, 30, 220)


def encoded(image: Image.Image, format_name: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


def halves(width: int = 600, height: int = 400, mode: str = "RGB") -> Image.Image:
    """The left half red, the right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste(BLUE, (width // 2, 0, width, height))
    return image.convert(mode)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def near(pixel: Any, color: tuple[int, int, int], tolerance: int = 25) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, color, strict=True))


@each(
    ("format_name", "mode"),
    [
        ("JPEG", "RGB"), ("JPEG", "L"), ("JPEG", "CMYK"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"),
        ("PNG", "L"), ("PNG", "LA"), ("PNG", "1"), ("WEBP", "RGB"), ("WEBP", "RGBA"),
    ],
)  # fmt: skip
def test_every_kind_comes_out_as_a_plain_jpeg(format_name: str, mode: str) -> None:
    photo = prepare(encoded(halves(mode=mode), format_name))
    image = opened(photo.data)
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (600, 400))
    assert (photo.width, photo.height) == (600, 400)


def test_sixteen_bit_grey_keeps_its_shades() -> None:
    grey = Image.new("I;16", (400, 400), 32768)
    assert near(opened(prepare(encoded(grey, "PNG")).data).getpixel((200, 200)), (128, 128, 128), 3)


def test_transparent_ground_becomes_white() -> None:
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    image.paste((*GREEN, 255), (100, 100, 300, 300))
    result = opened(prepare(encoded(image, "PNG")).data)
    assert near(result.getpixel((10, 10)), (255, 255, 255))
    assert near(result.getpixel((200, 200)), GREEN)


def test_palette_transparency_becomes_white() -> None:
    image = Image.new("P", (400, 400), 0)
    image.putpalette([0, 0, 0, 255, 0, 0])
    result = opened(prepare(encoded(image, "PNG", transparency=0)).data)
    assert near(result.getpixel((10, 10)), (255, 255, 255))


def test_a_photo_taken_sideways_stands_upright_and_tells_nothing_else() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held sideways: the left of the file is the top of the scene
    exif[0x010F] = "A phone"
    exif.get_ifd(0x8825)[1] = "N"
    photo = prepare(encoded(halves(), exif=exif, comment=b"who and where"))
    result = opened(photo.data)
    assert result.size == (400, 600)
    assert near(result.getpixel((200, 50)), RED)
    assert near(result.getpixel((200, 550)), BLUE)
    assert not result.getexif()
    assert b"phone" not in photo.data and b"who and where" not in photo.data


def test_broken_exif_is_no_hindrance() -> None:
    assert prepare(encoded(halves(), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")).width == 600


def test_a_wide_gamut_profile_is_brought_to_srgb_and_a_broken_one_left_out() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    kept = opened(prepare(encoded(halves(), icc_profile=profile)).data)
    assert near(kept.getpixel((50, 50)), RED)
    assert "icc_profile" not in kept.info
    assert near(opened(prepare(encoded(halves(), icc_profile=b"nonsense")).data).getpixel((50, 50)), RED)


def test_a_large_photo_is_made_smaller() -> None:
    photo = prepare(encoded(halves(5000, 3000)))
    assert (photo.width, photo.height) == (SIDE_MAX, 1229)


@each("size", [(1500, 301), (301, 1500), (2000, 420), (4000, 801), (300, 300)])
def test_strips_are_padded_with_white_into_the_ratio(size: tuple[int, int]) -> None:
    photo = prepare(encoded(Image.new("RGB", size, GREEN)))
    assert RATIO_MIN <= photo.width / photo.height <= RATIO_MAX
    assert min(photo.width, photo.height) >= 300 and max(photo.width, photo.height) <= SIDE_MAX
    image = opened(photo.data)
    assert near(image.getpixel((photo.width // 2, photo.height // 2)), GREEN)
    if max(size) / min(size) > 2.5:
        assert near(image.getpixel((2, 2)), (255, 255, 255))


def test_a_phones_double_picture_is_no_motion() -> None:
    data = encoded(halves(), "MPO", save_all=True, append_images=[halves(mode="RGB")])
    assert prepare(data).width == 600


def frames(format_name: str) -> bytes:
    return encoded(
        halves(),
        format_name,
        save_all=True,
        append_images=[Image.new("RGB", (600, 400), GREEN)],
        duration=100,
    )


@each(
    ("data", "error"),
    [
        (b"", e.NotAnImageError),
        (b"hello, this is no image", e.NotAnImageError),
        (b"%PDF-1.7 ...", e.NotAnImageError),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(100), e.NotAnImageError),
        (b"\x00\x00\x00\x18ftypheic" + bytes(100), e.UnsupportedFormatError),
        (b"\x00\x00\x00\x18ftypavif" + bytes(100), e.UnsupportedFormatError),
        (encoded(halves(), "GIF"), e.UnsupportedFormatError),
        (encoded(halves(), "BMP"), e.UnsupportedFormatError),
        (encoded(halves(), "TIFF"), e.UnsupportedFormatError),
        (frames("WEBP"), e.AnimatedImageError),
        (frames("PNG"), e.AnimatedImageError),
        (encoded(halves(299, 400)), e.TooSmallError),
        (encoded(halves(2000, 350)), e.TooNarrowError),
        (encoded(halves())[:5000], e.DamagedImageError),
        (encoded(halves(), "PNG")[:400], e.DamagedImageError),
        (b"\xff\xd8\xff\xe0 and nothing", e.DamagedImageError),
        (bytes(PHOTO_BYTES_MAX + 1), e.TooManyBytesError),
    ],
)
def test_what_is_not_taken_is_told_apart(data: bytes, error: type[e.PhotoError]) -> None:
    with pytest.raises(e.PhotoError) as caught:
        prepare(data)
    assert type(caught.value) is error


def test_transparency_and_shades_survive_the_strips() -> None:
    image = Image.new("RGBA", (5000, 4000), (0, 0, 0, 0))
    image.paste((*GREEN, 255), (1000, 1000, 4000, 3000))
    result = opened(prepare(encoded(image, "PNG")).data)
    assert result.size == (SIDE_MAX, 1638)
    assert near(result.getpixel((10, 10)), (255, 255, 255)) and near(result.getpixel((1024, 819)), GREEN)
    for row in (405, 415, 1225, 1232):  # the green's upper and lower edges, and beside them
        assert near(result.getpixel((1024, row)), GREEN if 409 < row < 1229 else (255, 255, 255), 60)


def test_a_real_fifty_megapixel_jpeg_is_refused() -> None:
    data = encoded(Image.new("L", (10_000, 5_000), 7), quality=10)
    with pytest.raises(e.TooManyPixelsError) as caught:
        prepare(data)
    assert (caught.value.width, caught.value.height) == (10_000, 5_000)


def test_broken_bytes_never_escape_as_another_error() -> None:
    """Flipped, cut and spliced files: a photo or a PhotoError, nothing else."""
    dice = random.Random(20)
    sources = [encoded(halves(320, 320), name) for name in ("JPEG", "PNG", "WEBP")]
    sources += [frames("PNG"), frames("WEBP"), encoded(halves(320, 320), "PNG", icc_profile=b"x" * 200)]
    refused = 0
    for number in range(600):
        data = bytearray(sources[number % len(sources)])
        for _ in range(dice.randint(1, 12)):
            data[dice.randrange(min(len(data), 400))] = dice.randrange(256)
        cut = dice.choice([len(data), len(data), dice.randrange(len(data))])
        try:
            prepare(bytes(data[:cut]))
        except e.PhotoError:
            refused += 1
    assert refused > 100


async def test_many_at_once_in_threads() -> None:
    photo = await prepare_photo(encoded(halves()), "a1")
    assert (photo.width, photo.height) == (600, 400)
