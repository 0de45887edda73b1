"""Renders a real video from a photo: pan and zoom, H.264 in mp4.

Pure bytes to bytes, and slow (0.3 to 1 s of one core).
"""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
from PIL import Image, ImageOps, UnidentifiedImageError

from events.errors import NeurocardsError

_ZOOM = 1.22
_PAN_WIDTHS_MAX = 2.5
_PIXELS_MAX = 60_000_000
# Speed before size; the rate is bounded for photos that are all grain.
_ENCODING = {"preset": "ultrafast", "crf": "26", "maxrate": "2500k", "bufsize": "2500k", "threads": "1"}


class NotAnImageError(NeurocardsError):
    """The bytes are not a picture that can be shown."""


@dataclass(frozen=True)
class Shape:
    """Size in pixels (even numbers, as yuv420p needs), frames per second, length."""

    width: int
    height: int
    fps: int
    duration_s: float

    @property
    def frames(self) -> int:
        return int(self.fps * self.duration_s)


FULL = Shape(width=480, height=854, fps=20, duration_s=4.5)
# For load tests, which make thousands of jobs and look at no picture.
SMALL = Shape(width=240, height=426, fps=10, duration_s=1.0)


def render(photo: bytes, shape: Shape = FULL) -> bytes:
    """Pan along the photo's longer side while zooming in. Raises NotAnImageError."""
    canvas = _canvas(photo, shape)
    with tempfile.TemporaryDirectory(prefix="neurocards-render-") as folder:
        # A real file, because "faststart" makes the muxer read back what it wrote.
        target = Path(folder) / "video.mp4"
        with av.open(str(target), mode="w", format="mp4", options={"movflags": "+faststart"}) as output:
            stream = output.add_stream("libx264", rate=shape.fps)
            stream.width, stream.height, stream.pix_fmt = shape.width, shape.height, "yuv420p"
            stream.options = dict(_ENCODING)
            for index in range(shape.frames):
                picture = _frame(canvas, shape, index / max(1, shape.frames - 1))
                frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return target.read_bytes()


def placeholder() -> bytes:
    """A JPEG for models without a photo, and for unreadable ones."""
    picture = ImageOps.colorize(Image.linear_gradient("L").resize((540, 960)), "#1f2a44", "#c9d6ff")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def _canvas(photo: bytes, shape: Shape) -> Image.Image:
    """The photo upright, in RGB, scaled with room to zoom and pan."""
    try:
        with Image.open(io.BytesIO(photo)) as opened:
            if opened.width * opened.height > _PIXELS_MAX:
                raise NotAnImageError(f"{opened.width}x{opened.height} is more than {_PIXELS_MAX} pixels")
            opened.draft("RGB", (shape.width * 2, shape.height * 2))
            upright = ImageOps.exif_transpose(opened)
            rgba = upright.convert("RGBA") if "A" in upright.getbands() or upright.mode == "P" else None
            flat = upright.convert("RGB") if rgba is None else _on_white(rgba)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NotAnImageError(f"cannot read the picture: {error}") from error
    scale = max(shape.width / flat.width, shape.height / flat.height) * _ZOOM
    width = max(shape.width, round(flat.width * scale))
    height = max(shape.height, round(flat.height * scale))
    wide, high = int(shape.width * _PAN_WIDTHS_MAX), int(shape.height * _PAN_WIDTHS_MAX)
    # A panorama is cut to its middle: panning along all of it in four seconds would be a blur.
    return ImageOps.fit(flat, (min(width, wide), min(height, high)), Image.Resampling.BILINEAR)


def _on_white(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


def _frame(canvas: Image.Image, shape: Shape, progress: float) -> Image.Image:
    """The window at `progress` (0..1): eases along the room and shrinks."""
    eased = progress * progress * (3 - 2 * progress)
    fit = min(canvas.width / shape.width, canvas.height / shape.height)
    zoom = fit + (1 - fit) * eased
    width, height = shape.width * zoom, shape.height * zoom
    # It ends in the middle, where sellers put the product.
    along = 0.2 + 0.3 * eased
    left, top = (canvas.width - width) * along, (canvas.height - height) * along
    box = (left, top, left + width, top + height)
    return canvas.resize((shape.width, shape.height), Image.Resampling.BILINEAR, box=box)
