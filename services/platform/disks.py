"""Room on disks."""

import shutil
from pathlib import Path
from typing import Final

LITTLE_BYTES: Final = 2_000_000_000
"""With less the owner is told; the alert DiskAlmostFull has the same."""


def free_bytes(folder: Path) -> int | None:
    """Room on its disk; None where this process can see no such folder."""
    try:
        return shutil.disk_usage(folder.expanduser()).free
    except OSError:
        return None
