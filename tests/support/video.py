"""Looking into a video's frames."""

import io
from dataclasses import dataclass

import av
from PIL import Image, ImageChops, ImageStat

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Film:
    """A decoded video: every frame as a picture."""

    codec: str
    duration_s: float
    frames: list[Image.Image]

    def moves(self) -> float:
        """How far the last frame is from the first, 0 (the same picture) to 255."""
        difference = ImageChops.difference(self.frames[0], self.frames[-1])
        return sum(ImageStat.Stat(difference).mean) / 3

    def share_of(self, color: Color, frame: int, tolerance: int = 40) -> float:
        """The share of a frame's pixels that have about this colour."""
        small = self.frames[frame].resize((90, 160))
        pixels = small.tobytes()  # red, green, blue, red, …
        near = [
            all(abs(pixels[at + channel] - color[channel]) <= tolerance for channel in range(3))
            for at in range(0, len(pixels), 3)
        ]
        return sum(near) / len(near)


def film_of(mp4: bytes) -> Film:
    """Decode a whole mp4, as a player would."""
    with av.open(io.BytesIO(mp4), mode="r") as container:
        stream = container.streams.video[0]
        frames = [frame.to_image().convert("RGB") for frame in container.decode(stream)]
        duration_s = float((container.duration or 0) / av.time_base)
        return Film(stream.codec_context.name, duration_s, frames)
