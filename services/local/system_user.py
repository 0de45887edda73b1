"""System user for Postgres, which refuses to run as root.

Our folders are closed to everybody else; where that user has to get through, its group may pass, not list.
"""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import structlog

from services.platform.errors import StartError

logger = structlog.get_logger()

NAME = "neurocards"
_PASSAGE = 0o710


def server_user() -> pwd.struct_passwd | None:
    """Postgres's user when we are root, made if need be; else None."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        pass
    if shutil.which("useradd"):
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", NAME]
    elif shutil.which("adduser"):  # busybox
        command = ["adduser", "-S", "-D", "-H", NAME]
    else:
        raise StartError(
            "Postgres does not run as root and no user can be made here: run this as a normal user"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        raise StartError(
            f"Postgres does not run as root and making the user {NAME!r} failed ({done.stderr.strip()}): "
            "run this as a normal user"
        ) from None


def make_private(folder: Path) -> None:
    """Close a folder to others. A group with access stays: its Postgres may be running."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(_PASSAGE if mode == _PASSAGE else 0o700)


def make_reachable(path: Path, gid: int) -> None:
    """Let a group pass through (not list) the folders above `path`.

    A folder in which another group has rights stays that group's: all are let through it, and that is logged.
    """
    for folder in path.resolve().parents:
        found = folder.stat()
        theirs = found.st_gid == gid
        if found.st_mode & (stat.S_IXOTH | (stat.S_IXGRP if theirs else 0)):
            continue
        if theirs or not found.st_mode & stat.S_IRWXG:
            os.chown(folder, -1, gid)
            folder.chmod(found.st_mode | stat.S_IXGRP)
        else:
            folder.chmod(found.st_mode | stat.S_IXOTH)
            logger.warning("folder_opened_for_passing_through", folder=str(folder), why=f"{path} is below it")


def make_runnable(programs: Path, user: pwd.struct_passwd) -> None:
    """Let `user` run the programs in this folder, despite a strict umask."""
    make_reachable(programs / "postgres", user.pw_gid)
    if _runs(programs / "postgres", user):
        return
    inside_wheel = programs.parent.parent
    for top in (inside_wheel, inside_wheel.with_name(inside_wheel.name + ".libs")):
        for path in (top, *top.rglob("*")):
            mode = path.stat().st_mode
            execute = stat.S_IXOTH if mode & stat.S_IXUSR else 0
            path.chmod(mode | stat.S_IROTH | execute)
    if not _runs(programs / "postgres", user):
        raise StartError(
            f"the user {user.pw_name!r} cannot run {programs}/postgres: run this as a normal user"
        )


def _runs(program: Path, user: pwd.struct_passwd) -> bool:
    command = [str(program), "--version"]
    try:
        done = subprocess.run(
            command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, check=False
        )
    except PermissionError:
        return False
    return done.returncode == 0
