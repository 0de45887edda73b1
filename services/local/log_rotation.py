"""Bounds the logs of `neurocards up`: what is too long goes to `NAME.log.1`, which replaces the one before.

The file is copied and emptied in place, since its writers keep it open for appending. Lines written between
the two are lost; where there is no room for the copy, all of it is: a log must not keep a disk full.
"""

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOG_BYTES_MAX: Final = 20_000_000


def rotate_logs(paths: Iterable[Path], bytes_max: int = LOG_BYTES_MAX) -> list[Path]:
    """Rotate those that are longer; which were."""
    rotated = []
    for path in paths:
        with contextlib.suppress(OSError):
            if path.stat().st_size <= bytes_max:
                continue
            before = path.with_name(f"{path.name}.1")
            before.unlink(missing_ok=True)
            try:
                shutil.copy(path, before)
            except OSError:
                before.unlink(missing_ok=True)
            os.truncate(path, 0)
            rotated.append(path)
    return rotated
