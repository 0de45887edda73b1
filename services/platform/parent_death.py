"""End a child process with its parent, even after SIGKILL.

The parent keeps the writing end of a pipe open. When it dies the system closes that end, and the child reads
the end of the file. This works wherever pipes do, not only on Linux.
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
    """End this process when the parent is gone: SIGTERM, forced after ten seconds."""
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
    """Exit immediately, whatever still runs, after flushing output if possible."""
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def hangup_is_ignored() -> bool:
    """Whether SIGHUP is ignored, as under `nohup`."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
