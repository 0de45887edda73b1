"""Memory of verifications outside the database.

One small file beside the notes, and the same in the process: when, up to where and with what result this
machine verified, and how many notes there were. Whoever writes in the database cannot rewrite it.
"""

import time
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog

from events.envelope import GENESIS_HASH
from ledger.checkpoints.checkpoint import POSITION_MAX
from ledger.checkpoints.proof import Digest
from services.recovery.checkpoint_files import SUFFIX, write_file

logger = structlog.get_logger()

FILE: Final = "verification.json"
AHEAD_S: Final = 60.0
"""Clocks may differ so much; a time further ahead is a lie, and counts as never."""


class Verified(msgspec.Struct, frozen=True):
    """The last verification. Epoch seconds of this machine, 0: never; `problems`: kind → how many.

    `whole_cpu_s`: what verifying the whole cost last. `by`: digest of the schema that the verifying version
    knows.
    """

    new_at_s: float = 0.0
    whole_at_s: float = 0.0
    whole_cpu_s: float = 0.0
    position: Annotated[int, msgspec.Meta(ge=0, le=POSITION_MAX)] = 0
    hash: Digest = GENESIS_HASH.hex()
    problems: dict[str, int] = {}
    notes_stored: int = 0
    notes_kept: int = 0
    by: str = ""

    def age_s(self, *, whole: bool) -> float:
        at_s = self.whole_at_s if whole else self.new_at_s
        age_s = time.time() - at_s
        return age_s if age_s >= -AHEAD_S else time.time()


class VerificationMemory:
    """`newest` of what this process and its folder remember."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.newest = Verified()

    def recall(self) -> Verified:
        """Read again what another process of this machine may have written."""
        try:
            kept = msgspec.json.decode((self._folder / FILE).read_bytes(), type=Verified)
        except (OSError, msgspec.MsgspecError):
            kept = Verified()
        self.newest = min(self.newest, kept, key=lambda one: one.age_s(whole=False))
        return self.newest

    def keep(self, verified: Verified) -> None:
        self.newest = verified
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_file(self._folder / FILE, msgspec.json.encode(verified).decode())
        except OSError as error:
            logger.error("verification_not_remembered", folder=str(self._folder), reason=str(error))

    def notes_kept(self) -> int:
        return sum(1 for _ in self._folder.glob(f"*{SUFFIX}"))
