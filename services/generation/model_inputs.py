"""One input builder per family of models: what createTask takes as `input`.

The picture's field, the type of `duration`, and whether an aspect ratio may be given differ from model to
model, and an unknown field may be refused; so each says exactly what its page documents, and the tests hold
each against that page's schema.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

Fields = dict[str, Any]
Options = Mapping[str, Any]
Builder = Callable[[str, str, int, Options], Fields]
"""(prompt, image URL, seconds, the catalogue's options) → input."""

VERTICAL: Final = "9:16"


def seedance_2(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "first_frame_url": image_url,
        "aspect_ratio": VERTICAL,
        "resolution": options["resolution"],
        "duration": duration_s,
        "generate_audio": options["sound"],
    }


def seedance_1_5(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "input_urls": [image_url],
        "aspect_ratio": VERTICAL,
        "resolution": options["resolution"],
        "duration": str(duration_s),
        "generate_audio": options["sound"],
    }


def seedance_1_fast(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "image_url": image_url,
        "resolution": options["resolution"],
        "duration": str(duration_s),
    }


def kling_2_6(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "image_urls": [image_url],
        "sound": options["sound"],
        "duration": str(duration_s),
    }


def kling_3(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "image_urls": [image_url],
        "sound": options["sound"],
        "duration": str(duration_s),
        "aspect_ratio": VERTICAL,
        "mode": options["mode"],
        "multi_shots": False,
        "multi_prompt": [],
    }


def hailuo_2_3(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "image_url": image_url,
        "duration": str(duration_s),
        "resolution": options["resolution"],
    }


def wan_2_7(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "first_frame_url": image_url,
        "resolution": options["resolution"],
        "duration": duration_s,
    }


def sora_2(prompt: str, image_url: str, duration_s: int, options: Options) -> Fields:
    return {
        "prompt": prompt,
        "image_urls": [image_url],
        "aspect_ratio": "portrait",
        "n_frames": str(duration_s),
        "remove_watermark": True,
        "upload_method": "s3",
    }


BUILDERS: Final[dict[str, Builder]] = {
    builder.__name__: builder
    for builder in (
        seedance_2,
        seedance_1_5,
        seedance_1_fast,
        kling_2_6,
        kling_3,
        hailuo_2_3,
        wan_2_7,
        sora_2,
    )
}
