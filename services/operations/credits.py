"""Credits given and taken by hand: what a change would do to the balance."""

from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import msgspec

from events.account import AccountEvent
from ledger.accounts.decider import AMOUNT_MAX
from ledger.accounts.state import evolve
from ledger.commands import GrantCredits, RevokeCredits, body
from ledger.errors import KeyReusedError
from ledger.log.batch import Receipt
from ledger.log.reader import LogReader
from ledger.sql import load_queries

if TYPE_CHECKING:
    from ledger.postgres import Pool

query = load_queries("services.operations")

KEY_PREFIX = "operator:"


class Change(msgspec.Struct, frozen=True):
    """A command and its effect on the balance. `receipt`: it was done before under this key."""

    command: GrantCredits | RevokeCredits
    key: str
    before: int
    after: int
    receipt: Receipt | None

    def as_row(self) -> dict[str, Any]:
        return {
            "account": self.command.account,
            "change": "grant" if isinstance(self.command, GrantCredits) else "revoke",
            "credits": self.command.amount,
            "balance_before": self.before,
            "balance_after": self.after,
            "reason": self.command.reason,
            "actor": self.command.actor,
            "key": self.key,
            "done_at_position": None if self.receipt is None else self.receipt.position,
        }


async def plan_change(pool: "Pool", command: GrantCredits | RevokeCredits, name: str) -> Change:
    """What the command would do now. Raises the ledger's rejections, KeyReusedError."""
    key = KEY_PREFIX + name
    used = await pool.fetchrow(query("receipt_of"), key)
    state = after = await LogReader(pool).account(command.account)
    if used is not None:
        if used["body_hash"] != sha256(body(command)).digest():
            raise KeyReusedError(name)
        receipt = Receipt(used["position"], used["command_events"], used["recorded_at_us"])
        return Change(command, key, state.balance, state.balance, receipt)
    for _, event in await LogReader(pool).decided(command):
        after = evolve(after, cast("AccountEvent", event))
    return Change(command, key, state.balance, after.balance, None)


async def alone_below(pool: "Pool", actor: str, limit: int) -> int:
    """Below how much this user may still move alone; `limit` is APPROVAL_CREDITS_MIN, 0: none."""
    if not limit:
        return AMOUNT_MAX + 1
    return max(0, limit - int(await pool.fetchval(query("moved_alone"), actor)))
