"""Which process dies, or freezes, at which step of which job: said by the test, done by the process itself.

A file per job, so that it works from the moment it is written, in every process, and exactly once: whoever
comes to the named step first makes the file `<job>.struck` (nobody can twice) and sends itself the signal.
"""

import contextlib
import os
import signal
from pathlib import Path

import msgspec

from tests.support.waiting import eventually


class Strike(msgspec.Struct, frozen=True):
    """`point` is one of those that `odd.py` names, e.g. `before IntendSubmission`."""

    point: str
    signum: int = signal.SIGKILL


class Strikes:
    """The plan, as a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def plan(self, job: str, point: str, signum: int = signal.SIGKILL) -> None:
        """Whoever comes to `point` of `job` first is struck. Say so before the job is ordered."""
        (self._folder / f"{job}.new").write_bytes(msgspec.json.encode(Strike(point, signum)))
        (self._folder / f"{job}.new").rename(self._folder / job)

    def struck(self, job: str) -> int | None:
        """Who was: its process id; None when nobody has been yet."""
        with contextlib.suppress(FileNotFoundError):
            return int((self._folder / f"{job}.struck").read_text() or 0) or None
        return None

    async def wait(self, job: str, timeout_s: float = 60) -> int:
        """The process that was struck at the job's step."""
        pid = await eventually(lambda: self.struck(job), timeout_s, what=f"the strike at job {job}")
        assert pid is not None
        return pid

    def come_to(self, job: str | None, point: str) -> None:
        """For the process: this is `point` of `job`. May not return."""
        if job is None:
            return
        try:
            strike = msgspec.json.decode((self._folder / job).read_bytes(), type=Strike)
        except FileNotFoundError:
            return
        if strike.point != point:
            return
        with contextlib.suppress(FileExistsError):
            marker = os.open(self._folder / f"{job}.struck", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            os.write(marker, str(os.getpid()).encode())
            os.close(marker)
            os.kill(os.getpid(), strike.signum)
