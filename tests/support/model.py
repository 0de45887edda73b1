"""The credit rules once more, in plain dictionaries and loops: what the real ledger is compared with.

Written from docs/ledger.md and not from the deciders, as simply as can be.
"""

from typing import Any

import msgspec

from events.account import GrantKind
from ledger import commands as c

Expected = tuple[str, int, tuple[tuple[int, int], ...]]
"""Type, amount, and (lot, amount) of its parts."""


class Refused(Exception):
    """The model says no; the argument is the name of the ledger's error."""


class ModelLot(msgspec.Struct):
    number: int
    amount: int
    kind: GrantKind
    ends_at_us: int | None


class ModelAccount(msgspec.Struct):
    lots: dict[int, ModelLot] = msgspec.field(default_factory=dict)
    debt: int = 0
    made: int = 0
    forgotten: bool = False
    gone: dict[int, int] = msgspec.field(default_factory=dict)
    """Of which lot how much expired, or was taken for another reason than a refund."""

    @property
    def balance(self) -> int:
        return sum(lot.amount for lot in self.lots.values()) - self.debt

    def in_draw_order(self) -> list[ModelLot]:
        gifts = [lot for lot in self.lots.values() if lot.kind != "purchase"]
        bought = [lot for lot in self.lots.values() if lot.kind == "purchase"]
        ordered: list[ModelLot] = []
        for group in (gifts, bought):
            ending = sorted((lot.ends_at_us, lot.number) for lot in group if lot.ends_at_us is not None)
            lasting = sorted(lot.number for lot in group if lot.ends_at_us is None)
            ordered += [self.lots[number] for number in [*(n for _, n in ending), *lasting]]
        return ordered

    def lose(self, lot: int, amount: int) -> None:
        self.gone[lot] = self.gone.get(lot, 0) + amount


class ModelJob(msgspec.Struct):
    account: str
    price: int
    parts: list[ModelLot]
    refunded: bool = False


class Model:
    """Applies commands at a time; what it answers is what the log must hold."""

    def __init__(self) -> None:
        self.accounts: dict[str, ModelAccount] = {}
        self.jobs: dict[str, ModelJob] = {}

    def apply(self, command: c.Command, now_us: int) -> list[Expected]:
        """The credit events of the command. Raises Refused, and then nothing has changed."""
        match command:
            case c.OrderVideos():
                return self._order(command, now_us)
            case c.GrantCredits():
                if command.expires_at_us is not None and command.expires_at_us <= now_us:
                    raise Refused("InvalidCommandError")
                return self._expire(command.account, now_us) + self._grant(command)
            case c.RevokeCredits():
                return self._expire(command.account, now_us) + self._revoke(command)
            case c.ExpireCredits():
                return self._expire(command.account, now_us)
            case c.FailJob():
                return self._refund(command, now_us)
            case c.ForgetAccount():
                self.accounts[command.account].forgotten = True
                return []
            case c.OpenAccount():
                self.accounts[command.account] = ModelAccount(debt=command.debt)
                return [("CreditsRevoked", command.debt, ())] if command.debt else []
            case _:
                raise NotImplementedError(command)

    def _expire(self, name: str, now_us: int) -> list[Expected]:
        account = self.accounts[name]
        made: list[Expected] = []
        for lot in account.in_draw_order():
            if lot.ends_at_us is not None and lot.ends_at_us <= now_us:
                made.append(("CreditsExpired", lot.amount, ()))
                account.lose(lot.number, lot.amount)
                del account.lots[lot.number]
        return made

    def _grant(self, command: c.GrantCredits) -> list[Expected]:
        account = self.accounts[command.account]
        settled = min(account.debt, command.amount)
        amount = settled if command.kind == "carried" else command.amount
        if not amount:
            return []
        account.made += 1
        account.debt -= settled
        if amount > settled:
            lot = ModelLot(account.made, amount - settled, command.kind, command.expires_at_us)
            account.lots[account.made] = lot
        return [("CreditsGranted", amount, ())]

    def _revoke(self, command: c.RevokeCredits) -> list[Expected]:
        account = self.accounts[command.account]
        ordered = account.in_draw_order()
        ordered.sort(key=lambda lot: lot.number != command.lot)
        parts = take(account, ordered, command.amount)
        account.debt += command.amount - sum(part.amount for part in parts)
        if command.kind != "payment":
            for part in parts:
                account.lose(part.number, part.amount)
        return [("CreditsRevoked", command.amount, short(parts))]

    def _order(self, command: c.OrderVideos, now_us: int) -> list[Expected]:
        account = self.accounts[command.account]
        alive = sum(lot.amount for lot in account.lots.values() if (lot.ends_at_us or now_us + 1) > now_us)
        if account.forgotten:
            raise Refused("Forgotten")
        if any(job in self.jobs for job in command.jobs):
            raise Refused("AlreadyExistsError")
        if alive - account.debt < command.price * len(command.jobs):
            raise Refused("InsufficientCreditsError")
        made = self._expire(command.account, now_us)
        for job in command.jobs:
            parts = take(account, account.in_draw_order(), command.price)
            self.jobs[job] = ModelJob(command.account, command.price, parts)
            made.append(("CreditsCharged", command.price, short(parts)))
        return made

    def _refund(self, command: c.FailJob, now_us: int) -> list[Expected]:
        job = self.jobs.get(command.job)
        if job is None:
            raise Refused("JobNotFoundError")
        if job.refunded:
            raise Refused("JobFinishedError")
        job.refunded = True
        made = self._expire(job.account, now_us)
        back = self._give_back(job.account, job.parts, now_us, command.refund_life_s)
        return [*made, ("CreditsRefunded", job.price, back)]

    def _give_back(
        self, name: str, parts: list[ModelLot], now_us: int, life_s: int
    ) -> tuple[tuple[int, int], ...]:
        """A debt is settled first, out of the first parts; the rest goes to its lots."""
        account = self.accounts[name]
        settled = min(account.debt, sum(part.amount for part in parts))
        account.debt -= settled
        back = []
        for part in parts:
            rest = part.amount - min(settled, part.amount)
            settled -= part.amount - rest
            if not rest:
                continue
            ends_at_us = part.ends_at_us
            if ends_at_us is not None and ends_at_us <= now_us:
                ends_at_us = now_us + life_s * 1_000_000
            there = account.lots.setdefault(part.number, ModelLot(part.number, 0, part.kind, ends_at_us))
            there.amount += rest
            if there.ends_at_us is not None and ends_at_us is not None:
                there.ends_at_us = max(there.ends_at_us, ends_at_us)
            back.append((part.number, rest))
        return tuple(back)


def take(account: ModelAccount, ordered: list[ModelLot], amount: int) -> list[ModelLot]:
    """Take `amount` out of these lots one after another, or what there is; the parts taken."""
    parts = []
    for lot in ordered:
        taken = min(lot.amount, amount)
        if taken:
            parts.append(ModelLot(lot.number, taken, lot.kind, lot.ends_at_us))
        amount -= taken
        lot.amount -= taken
        if not lot.amount:
            del account.lots[lot.number]
    return parts


def short(parts: list[ModelLot]) -> tuple[tuple[int, int], ...]:
    """(lot, amount) of each."""
    return tuple((part.number, part.amount) for part in parts)


def expected_of(type_name: str, data: dict[str, Any]) -> Expected:
    """A stored credit event in the model's words."""
    parts = () if type_name == "CreditsExpired" else data.get("parts", ())
    return (type_name, data["amount"], tuple((part["lot"], part["amount"]) for part in parts))
