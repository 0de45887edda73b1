"""What others than its owner may do with files: nothing, it is hoped."""

import grp
import os
import stat
from pathlib import Path

from services.local.system_user import NAME

PASSAGE = 0o710
"""Of folders that Postgres, which does not run as root, has to get through: to pass, not to list."""


def others_may(root: Path) -> list[str]:
    """What others may do with `root` and all below it, a line each; symbolic links have no say."""
    found = []
    for path in (root, *root.rglob("*")):
        try:
            status = path.lstat()
        except FileNotFoundError:  # one that Postgres no longer needs
            continue
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(mode | stat.S_IFMT(status.st_mode)) or not mode & 0o077:
            continue
        if not (stat.S_ISDIR(status.st_mode) and mode == PASSAGE and _is_of_the_server(status.st_gid)):
            found.append(f"{mode:o} {path.relative_to(root)}")
    return found


def _is_of_the_server(gid: int) -> bool:
    return os.geteuid() == 0 and grp.getgrgid(gid).gr_name == NAME
