"""Looking at and ending processes by their id."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not yet collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return True


def command_line(pid: int) -> str:
    """The process's command line, empty if it is gone or hidden."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if Path("/proc/self").exists():
        return ""
    done = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout


def end(pid: int, how: signal.Signals = signal.SIGTERM, grace_s: float = 10) -> None:
    """Ask the process to end, and kill it when it has not within `grace_s`."""
    for signum, wait_s in ((how, grace_s), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)
        deadline = time.monotonic() + wait_s
        while alive(pid):
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        else:
            return


def read_pid(path: Path) -> int | None:
    """The number in the first line of a pid file."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(path.read_text(errors="replace").splitlines()[0])
    return None
