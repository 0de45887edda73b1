"""`neurocards up` whose services come from the session's fork server: no parent of its own has to import.

python -m tests.support.forking_up SOCKET up …, in a process from the fork server.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from services.cli.__main__ import main
from services.local import up
from tests.support import fork_server


class SessionParent:
    """What the supervisor uses of a WarmParent."""

    def __init__(self, log_path: Path, env: Mapping[str, str]) -> None:
        pass

    async def wait_ready(self, timeout_s: float) -> None:
        pass

    def fork(
        self, command: Sequence[str], env: Mapping[str, str], log: IO[bytes], lifeline: int
    ) -> fork_server.Child:
        return fork_server.start(
            *command[2:], cwd=Path.cwd(), env=env, out=log, err=log, lifeline=lifeline, server=_SERVER
        )

    def close(self) -> None:
        pass


if __name__ == "__main__":
    _SERVER = Path(sys.argv.pop(1))
    vars(up)["WarmParent"] = SessionParent
    main()
