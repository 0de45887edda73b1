"""Runs one server program; ends it when its starter dies, even by SIGKILL.

Started by path in a bare interpreter, so it uses the standard library only:

    guard.py SIGNAL GRACE_S UID GID WATCHED_PID PROGRAM [ARGUMENT...]

Standard input is the lifeline: at its end, or on SIGTERM, the program gets SIGNAL (a number) and, GRACE_S
seconds later, SIGKILL. WATCHED_PID, unless 0, is the process to end with instead, for a starter that hands
the server over to others. UID and GID, unless -1, are who the program runs as. The exit code is the
program's.
"""

import os
import select
import signal
import subprocess
import sys
import time

POLL_S = 0.5


def main(arguments: list[str]) -> int:
    stop_signal, grace_s, uid, gid, watched = (int(word) for word in arguments[:5])
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for signum in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(signum, lambda *_: None)  # awake from select; what happened is looked at below
    told_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda signum, _: told_to_stop.append(signum))
    who = {} if uid < 0 else {"user": uid, "group": gid, "extra_groups": []}
    server = subprocess.Popen(arguments[5:], stdin=subprocess.DEVNULL, umask=0o077, **who)  # type: ignore[call-overload]
    while server.poll() is None and not told_to_stop:
        lifeline_fds = [] if watched else [0]
        ready, _, _ = select.select([reader, *lifeline_fds], [], [], POLL_S if watched else None)
        if reader in ready:
            os.read(reader, 1024)
        if (0 in ready and not os.read(0, 1024)) or (watched and not _alive(watched)):
            break
    return _end(server, stop_signal, grace_s)


def _end(server: "subprocess.Popen[bytes]", stop_signal: int, grace_s: int) -> int:
    if server.poll() is None:
        server.send_signal(stop_signal)
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    if server.poll() is None:
        server.kill()
    code = server.wait()
    return code if code >= 0 else 128 - code


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
