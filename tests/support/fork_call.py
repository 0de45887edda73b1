"""Calls a function of the tests in a process from the fork server, which ends with the process that asked.

python -m tests.support.fork_call CALL, where CALL is what `fork_server.call` has packed.
"""

import base64
import os
import pickle
import sys
import threading
from multiprocessing.connection import Connection

from services.platform.parent_death import VARIABLE as LIFELINE


def main() -> None:
    function, arguments, piped = pickle.loads(base64.b64decode(sys.argv[1]))
    fd = int(os.environ.pop(LIFELINE))
    if piped:
        function(*arguments, Connection(fd))
    else:
        threading.Thread(target=_end_with, args=(fd,), daemon=True).start()
        function(*arguments)


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
