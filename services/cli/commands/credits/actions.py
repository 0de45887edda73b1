"""What a change of credits would do, found out by the ledger's own rules; and doing it."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, cast

import msgspec

from events.account import AccountEvent
from events.stream_names import account_stream
from ledger.accounts.state import AccountState, evolve
from ledger.commands import GrantCredits, RevokeCredits, body
from ledger.decider import decide
from ledger.errors import KeyReusedError
from ledger.log.batch import Receipt
from ledger.log.ledger import LogReader
from ledger.sql import load_queries
from services.cli.connections import open_ledger
from services.cli.resolve_account import resolve_account
from services.platform.database import create_pool
from services.platform.settings import Settings

query = load_queries("ledger.log")
shared_query = load_queries("services.cli.commands.credits")

KEY_PREFIX = "operator:"

CreditCommand = GrantCredits | RevokeCredits


class Change(msgspec.Struct, frozen=True):
    """A command and what it would do to the balance. `receipt`: it was done before under this key."""

    command: CreditCommand
    key: str
    before: int
    after: int
    receipt: Receipt | None

    def as_row(self) -> dict[str, Any]:
        """For people and programs."""
        verb = "grant" if isinstance(self.command, GrantCredits) else "revoke"
        return {
            "account": self.command.account,
            "change": verb,
            "credits": self.command.amount,
            "balance_before": self.before,
            "balance_after": self.after,
            "reason": self.command.reason,
            "actor": self.command.actor,
            "key": self.key,
            "done_at_position": None if self.receipt is None else self.receipt.position,
        }


async def plan(settings: Settings, user: str, make: Callable[[str], CreditCommand], key: str) -> Change:
    """What the command would do now. Raises NoSuchAccountError and whatever the ledger would refuse with."""
    account = await resolve_account(settings, user)
    command = make(account)
    async with await create_pool(settings, "operator", max_size=1) as pool:
        used = await pool.fetchrow(shared_query("receipt_of"), KEY_PREFIX + key)
        now_us = await pool.fetchval(query("clock"))
        state = await LogReader(pool).account(account)
    if used is not None:
        if used["body_hash"] != sha256(body(command)).digest():
            raise KeyReusedError(key)
        receipt = Receipt(used["position"], used["command_events"], used["recorded_at_us"])
        return Change(command, KEY_PREFIX + key, state.balance, state.balance, receipt)
    made = [cast(AccountEvent, e) for _, e in decide({account_stream(account): state}, command, now_us)]
    after: AccountState = state
    for event in made:
        after = evolve(after, event)
    return Change(command, KEY_PREFIX + key, state.balance, after.balance, None)


async def apply(settings: Settings, change: Change) -> Receipt:
    """Do it, once however often it is asked for. Raises KeyReusedError when the key was for another
    change."""
    async with open_ledger(settings) as (ledger, _):
        return await ledger.execute(change.command, key=change.key)
