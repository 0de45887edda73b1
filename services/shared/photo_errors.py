"""What can be wrong with a photo; the limits are in photos.py.

PhotoError
├── NotAnImage          the bytes are no image at all
├── UnsupportedFormat   (format) an image, but not JPEG, PNG or WebP
├── Animated            several frames
├── TooManyBytes        (size_bytes) over PHOTO_BYTES_MAX
├── TooManyPixels       (width, height, most) over PIXELS_MAX of its format, by its header, before decoding
├── TooSmall            (width, height) a side under SIDE_MIN
├── TooNarrow           (width, height) a strip that padding cannot save
└── Damaged             begins as an image, but cannot be decoded to its end
"""

from events.errors import NeurocardsError


class PhotoError(NeurocardsError):
    """The bytes cannot be used as a photo; the seller should send another one."""


class NotAnImage(PhotoError):
    """The bytes are no image."""


class UnsupportedFormat(PhotoError):
    """An image of a format we do not take; `format` is its name."""

    def __init__(self, format_name: str) -> None:
        super().__init__(f"{format_name} is not taken; send JPEG, PNG or WebP")
        self.format = format_name


class Animated(PhotoError):
    """The image has several frames; send a still one."""


class TooManyBytes(PhotoError):
    """The file has too many bytes to be looked at."""

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes are too many for a photo")
        self.size_bytes = size_bytes


class WrongSize(PhotoError):
    """Base of what is wrong with `width` and `height`, in pixels."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width}x{height}: {(self.__doc__ or '').strip()}")
        self.width = width
        self.height = height


class TooManyPixels(WrongSize):
    """The image is over PIXELS_MAX of its format, which is `most`."""

    def __init__(self, width: int, height: int, most: int) -> None:
        super().__init__(width, height)
        self.most = most


class TooSmall(WrongSize):
    """A side is under SIDE_MIN."""


class TooNarrow(WrongSize):
    """One side is more than PADDED_RATIO_MAX times the other."""


class Damaged(PhotoError):
    """The image cannot be decoded to its end."""
