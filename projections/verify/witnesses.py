"""Who has seen the log before: cursors and checkpoints. They tell of a missing end, and of a rewrite.

The chain alone cannot: a log without its last rows, or written anew with hashes that fit, is a whole one.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from events.envelope import GENESIS_HASH
from projections.problems import Findings, Kind
from projections.verify.sql import query

if TYPE_CHECKING:
    from projections.tables import Connection


class Witness(msgspec.Struct, frozen=True):
    """Somebody who remembers that `position` had `hash`; `log_hash` is what the log has there, if anything.

    `kind` is what is wrong when the memory is: "cursor" or "checkpoint". A `signed` memory is never wrong.
    """

    name: str
    kind: Kind
    position: int
    hash: bytes
    log_hash: bytes | None
    signed: bool = False

    @property
    def agrees(self) -> bool:
        return self.hash == (self.log_hash if self.position else GENESIS_HASH)


async def cursors(connection: "Connection") -> list[Witness]:
    """The active cursors of projections, notifier and whoever else keeps one."""
    return [
        Witness(f"the cursor of {row['name']}", "cursor", row["position"], row["hash"], row["log_hash"])
        for row in await connection.fetch(query("witnesses"))
    ]


async def question(
    connection: "Connection",
    witnesses: Sequence[Witness],
    head: int,
    spoken_of: Collection[int],
    findings: Findings,
) -> None:
    """Compare what each remembers with the log. `spoken_of`: positions reported already."""
    agreeing = {w.position for w in witnesses if w.agrees}
    doubtful = [w for w in witnesses if not w.agrees and w.position not in spoken_of]
    ahead: list[Witness] = []
    differing: list[Witness] = []
    for witness in doubtful:
        place = await connection.fetchval(query("position_of_hash"), witness.hash)
        if not witness.signed and (place is not None or witness.hash == GENESIS_HASH):
            message = f"{witness.name} says position {witness.position}, and its hash is that of {place or 0}"
            findings.add(witness.kind, witness.position, message)
        elif witness.position > head:
            ahead.append(witness)
        elif not witness.signed and _vouched_for(witness.position, agreeing, spoken_of):
            message = (
                f"{witness.name} remembers another event at position {witness.position}, "
                "later witnesses agree with the log: it was changed, or the log and they were"
            )
            findings.add(witness.kind, witness.position, message)
        else:
            differing.append(witness)
    if ahead:
        furthest = max(w.position for w in ahead)
        names = ", ".join(sorted(f"{w.name} ({w.position})" for w in ahead))
        missing = f"at least {furthest - head} events are missing"
        message = f"the log ends at position {head}, but {names} saw more: {missing}"
        findings.add("cut", head + 1, message)
    if differing:
        _rewritten(differing, agreeing, findings)


def _vouched_for(position: int, agreeing: Collection[int], broken: Collection[int]) -> bool:
    """Whether a later witness agrees with the log, and the chain from here to there holds."""
    return any(later > position and not any(position < at <= later for at in broken) for later in agreeing)


def _rewritten(differing: Sequence[Witness], agreeing: Collection[int], findings: Findings) -> None:
    first = min(w.position for w in differing)
    before = max((position for position in agreeing if position < first), default=0)
    names = ", ".join(sorted(f"{w.name} ({w.position})" for w in differing))
    message = f"the log was rewritten after position {before} and up to {first}: {names} saw another event"
    findings.add("rewritten", first, message)
