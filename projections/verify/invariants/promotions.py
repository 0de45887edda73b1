"""Invariants of promo codes and referrals.

Read by indexes from the start of the log whatever `after` is: there are few such rows. A grant of the kinds
`promo` and `referral` that names no code and no invitation is not looked at: before there were codes, such
grants were made by hand.
"""

from itertools import groupby
from typing import Any, Final

import msgspec

from events.account import AccountOpened, CreditsGranted, InvitationRewarded
from events.promo import PromoCreated, PromoDisabled, PromoRedeemed
from events.stream_names import account_stream
from ledger.postgres import Connection
from ledger.sql import load_queries
from projections.verify.event_fields import Row, read
from projections.verify.findings import Findings

query = load_queries("projections.verify")

_BEFORE_US: Final = 130_000_000
"""By so much it may be decided before its stamp: 5 s, and 125 s by which the log's time may be ahead."""
_NAMES: Final = ("promo:", "referral:")

Grants = dict[tuple[str, str, int], tuple[int, int]]
"""Account's stream, reference and amount → position and lot, of one command."""


async def check(connection: Connection, after: int, findings: Findings) -> None:
    rows = await connection.fetch(query("gifts"))
    walk = Gifts(findings, after)
    for _, command in groupby(rows, key=lambda row: row[4]):
        walk.command(list(command))


class Code(msgspec.Struct):
    created: PromoCreated
    used: set[str]
    disabled: bool = False


class Gifts:
    def __init__(self, findings: Findings, after: int = 0) -> None:
        self._findings = findings
        self._after = after
        self._codes: dict[str, Code] = {}
        self._invited: dict[str, str] = {}
        self._rewarded: set[str] = set()

    def command(self, rows: list[Row]) -> None:
        """A command's relevant rows, with the position it begins at."""
        events = [(row, read(row, self._findings)) for row in rows]
        grants: Grants = {
            (row[1], event.reference or "", event.amount): (row[0], event.lot)
            for row, event in events
            if isinstance(event, CreditsGranted) and (event.reference or "").startswith(_NAMES)
        }
        for row, event in events:
            self._happened(row, event, grants)
        for (stream, reference, amount), (at, _) in grants.items():
            self._say(at, f"{stream} got {amount} credits of {reference} at position {at}, which gave none")

    def _happened(self, row: Row, event: Any, grants: Grants) -> None:
        at, stream, _, _, _, now_us, _ = row
        match event:
            case PromoCreated():
                if stream in self._codes:
                    self._say(at, f"{stream} was made again at position {at}")
                self._codes[stream] = Code(event, set())
            case PromoDisabled() if stream in self._codes:
                self._codes[stream].disabled = True
            case PromoRedeemed():
                self._redeemed(at, stream, event, now_us, grants)
            case AccountOpened(invited_by=inviter):
                if stream in (account_stream(inviter), self._invited.get(account_stream(inviter))):
                    self._say(at, f"{stream} was invited by itself or by whom it had invited")
                self._invited[stream] = account_stream(inviter)
            case InvitationRewarded():
                self._rewarded_now(at, stream, event, grants)

    def _redeemed(self, at: int, stream: str, event: PromoRedeemed, now_us: int, grants: Grants) -> None:
        code = self._codes.get(stream)
        if code is None:
            self._say(at, f"{stream} was used at position {at} and was never made")
            return
        ends = code.created.expires_at_us
        if code.disabled or (ends is not None and now_us - _BEFORE_US >= ends):
            self._say(at, f"{stream} was used at position {at}, when it was over")
        if event.account in code.used:
            self._say(at, f"{stream} was used again by account {event.account} at position {at}")
        code.used.add(event.account)
        if len(code.used) > code.created.uses_max:
            self._say(at, f"{stream} was used {len(code.used)} times, {code.created.uses_max} were allowed")
        wanted = (account_stream(event.account), f"promo:{code.created.code}", code.created.amount)
        _, lot = grants.pop(wanted, (0, 0))
        if lot != event.lot:
            self._say(at, f"{stream} was used at position {at} without its {code.created.amount} credits")

    def _rewarded_now(self, at: int, stream: str, event: InvitationRewarded, grants: Grants) -> None:
        if self._invited.get(stream) != account_stream(event.inviter):
            self._say(at, f"{stream} was rewarded at position {at} for an invitation it never had")
        if stream in self._rewarded:
            self._say(at, f"{stream} was rewarded again at position {at}")
        if event.job and event.purchase:
            self._say(at, f"{stream} was rewarded at position {at} for a video and a purchase at once")
        self._rewarded.add(stream)
        reference = f"referral:{stream.removeprefix(account_stream(''))}"
        for side, amount in ((stream, event.credits), (account_stream(event.inviter), event.inviter_credits)):
            if amount and grants.pop((side, reference, amount), None) is None:
                self._say(at, f"{side} did not get its {amount} credits of {reference} at position {at}")

    def _say(self, at: int, message: str) -> None:
        if at > self._after:
            self._findings.add("gift", at, message)
