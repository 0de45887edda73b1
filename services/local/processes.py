"""Process ids and TCP ports: liveness, ending processes, free ports."""

import contextlib
import os
import platform
import random
import signal
import socket
import subprocess
import time
from collections import deque
from pathlib import Path

from services.platform.errors import StartError

_LISTENING = range(20_000, 32_000)
_KEEPS = platform.system() == "Linux"
_reserved: deque[socket.socket] = deque(maxlen=200)
"""Bound, and not listened on."""


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
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
    """Empty if the process is gone or hidden."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    if Path("/proc/self").exists():
        return ""
    done = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout


def end(pid: int, how: signal.Signals = signal.SIGTERM, grace_s: float = 10) -> None:
    """Ask the process to end; SIGKILL after `grace_s`."""
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
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(path.read_text(errors="replace").splitlines()[0])
    return None


def port_is_free(host: str, port: int) -> bool:
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind((host, port))
            return True
    return False


def free_port(host: str) -> int:
    """A port that is not listened on; Linux keeps it for this process.

    It is used some time after it was asked for, again after a restart, so it is none that systems give to
    outgoing connections (from 32768 on in Linux, 49152 elsewhere) while there is such a one.
    """
    for port in (*random.SystemRandom().sample(_LISTENING, 50), 0):
        probe = socket.socket(_family(host))
        try:
            probe.bind((host, port))  # refused while another process has it, whether it listens or not
        except OSError:
            probe.close()
            continue
        found = int(probe.getsockname()[1])
        if _KEEPS:  # there, who listens may bind a port that is bound and not listened on
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _reserved.append(probe)
        else:
            probe.close()
        return found
    raise StartError(f"no port of {host} is free")


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
