"""A process that says what it is, in a line of JSON, and ends with its lifeline."""

import json
import os
import random
import signal
import sys
import threading

from services.platform.parent_death import VARIABLE


def main() -> None:
    lifeline = int(os.environ.pop(VARIABLE))
    told = {
        "pid": os.getpid(),
        "sid": os.getsid(0),
        "words": sys.argv[1:],
        "env": dict(os.environ),
        "fds": len(os.listdir("/proc/self/fd")) - 1,
        "threads": threading.active_count(),
        "random": random.random(),
        "term_is_default": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "chld_is_default": signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL,
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os.read(lifeline, 1)


if __name__ == "__main__":
    main()
