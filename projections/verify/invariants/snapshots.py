"""Cached account states: the appender folds on from them, so a wrong one would give credits away."""

from typing import TYPE_CHECKING

import msgspec

from ledger.sql import load_queries
from projections.verify.findings import Findings
from projections.verify.invariants.lots import Account, Lot

if TYPE_CHECKING:
    from ledger.postgres import Connection

query = load_queries("projections.verify")


class State(msgspec.Struct):
    """What of a cached state the rules know too. The terms agreed to are no credits and are not compared."""

    lots: list[Lot]
    lots_made: int
    debt: int
    balance: int
    opened: bool = False
    forgotten: bool = False
    broken: str = ""


class _Sealed(msgspec.Struct):
    state: State


_decode = msgspec.json.Decoder(_Sealed).decode


class Snapshot(msgspec.Struct, gc=False):
    """A stored state after the event with this version, at this position."""

    version: int
    position: int
    text: str


async def load(connection: "Connection", findings: Findings) -> dict[str, Snapshot]:
    """The stored states by stream; one that names an event the log does not hold is a finding."""
    from ledger.log.snapshots import FORMAT  # here, so that the rules depend on nothing of the deciders

    found: dict[str, Snapshot] = {}
    for row in await connection.fetch(query("snapshots"), FORMAT):
        if row["held"]:
            found[row["stream"]] = Snapshot(row["version"], row["position"], row["state"])
        else:
            message = f"the snapshot of {row['stream']} names an event that the log does not hold"
            findings.add("snapshot", row["position"], message)
    return found


def compare(stream: str, account: Account, snapshot: Snapshot, findings: Findings) -> None:
    """The stored state must be the one the log gives at its version."""
    try:
        state = _decode(snapshot.text).state
    except (msgspec.DecodeError, UnicodeError) as error:
        message = f"the snapshot of {stream} cannot be read: {error}"
        findings.add("snapshot", snapshot.position, message)
        return
    stored = (state.lots, state.lots_made, state.debt, state.balance, state.opened, state.forgotten)
    told = (account.lots, account.made, account.debt, account.balance, account.opened, account.locked)
    if stored != told or state.broken:
        message = f"the snapshot of {stream} at version {snapshot.version} is not what the log says"
        findings.add("snapshot", snapshot.position, message)
