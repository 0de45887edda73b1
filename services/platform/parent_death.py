"""A process that was started by another ends when that one is gone, even by SIGKILL.

The parent keeps the writing end of a pipe open and does nothing with it. When it dies, however it dies,
the system closes that end, and the child reads the end of the file. This works
wherever pipes do, not only on Linux.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from typing import NoReturn

VARIABLE = "NEUROCARDS_LIFELINE_FD"
"""The number of the reading end, in the child's environment; the child inherits that descriptor."""

_GRACE_S = 10.0


def hold() -> None:
    """End this process when the parent is gone: politely at first, after ten seconds at once."""
    value = os.environ.pop(VARIABLE, None)
    if value is None:
        return
    os.set_inheritable(int(value), False)  # our own children hang on us, not on our parent
    threading.Thread(target=_wait_for_the_end, args=(int(value),), name="lifeline", daemon=True).start()


def _wait_for_the_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    with contextlib.suppress(OSError):  # so may be whoever reads this
        sys.stderr.write("the process that started this one is gone; stopping\n")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)  # a thread of its own, so that a loop that hangs does not matter
    os._exit(1)


def end_at_once(code: int) -> NoReturn:
    """End this process, whoever still works; what it said last is shown if somebody is there to see it."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def hangup_is_ignored() -> bool:
    """Whether we were started to survive the terminal, as `nohup` does."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
