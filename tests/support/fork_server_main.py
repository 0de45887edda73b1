"""The process that `fork_server.py` forks others from: imports everything once, then waits for requests.

python -m tests.support.fork_server_main LISTENING_FD WATCHED_PID
"""

import contextlib
import gc
import os
import socket
import sys
from importlib import import_module
from pkgutil import walk_packages

from services.local.warm_parent import ForkServer, prepare

_CALLED = (
    "fake_service",
    "fork_call",
    "killed_writers",
    "self_killing_payment",
    "self_killing_worker",
    "stopping",
    "writers",
)
_OURS = ("events", "ledger", "projections", "services")
_LATER = ("__main__", "exporter")
"""What is run, and what a test holds to be loaded only where traces are on."""


def _import_all() -> None:
    found = [module.name for name in _OURS for module in walk_packages([name], f"{name}.")]
    ours = [name for name in found if not name.endswith(_LATER)]
    for name in (*ours, *(f"tests.support.{name}" for name in _CALLED)):
        import_module(name)


class SessionForkServer(ForkServer):
    """Asked by whoever connects, until the watched process is gone."""

    look_s = 0.5

    def __init__(self, listener: socket.socket, watched_pid: int) -> None:
        super().__init__(listener)
        self._listener = listener
        self._watched_pid = watched_pid

    def is_over(self) -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._watched_pid, 0)
            return False
        return True

    def accept(self) -> socket.socket:
        return self._listener.accept()[0]


def main() -> None:
    listener = socket.socket(fileno=int(sys.argv[1]))
    gc.disable()
    _import_all()
    prepare()
    gc.freeze()
    gc.enable()
    SessionForkServer(listener, int(sys.argv[2])).serve()


if __name__ == "__main__":
    main()
