"""What a comparison of a provider's book with the ledger finds, record by record.

A record whose judging fails is `unjudged`, with the error as its note: one that nobody can read, or that the
ledger knows under another name, must not end the walk over all the others.

    missing  money came (or went back), the ledger did not know. `repaired`: it does now
    extra    the ledger knows of money that the provider does not
    amount   both know it, with different sums
    flagged  money came that is not what was ordered: nothing was credited, a person must decide
    foreign  a payment in our shop that we did not order
    unjudged nobody could tell; `note` says why
"""

import datetime
from collections.abc import Awaitable
from typing import Final, Literal

import asyncpg
import msgspec
from msgspec.structs import replace

from events.codec import clean_text
from ledger.errors import IntegrityError
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.adapters.telegram.stars import StarsNoAnswerError
from services.adapters.yookassa.errors import BadCredentialsError, UnavailableError
from services.payments.metrics import alarm
from services.platform.periodic import PASSING

query = load_queries("services.payments")

Kind = Literal["missing", "extra", "amount", "flagged", "foreign", "unjudged"]
FRESH_S: Final = 900.0
"""Money that came so short a time ago is nobody's fault when its notification is still under way."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not the same in both books. Sums in the smallest unit; None: not there."""

    kind: Kind
    object: Literal["payment", "refund"]
    payment: str = ""
    provider_payment: str = ""
    provider_refund: str = ""
    ours_minor: int | None = None
    theirs_minor: int | None = None
    currency: str = "RUB"
    repaired: bool = False
    note: str = ""


class Report(msgspec.Struct):
    """One comparison. `open_differences` are those that a person must do something about."""

    comparison: int
    since: datetime.datetime
    payments: int = 0
    refunds: int = 0
    differences: list[Difference] = []

    @property
    def open_differences(self) -> list[Difference]:
        settled = ("foreign", "unjudged")
        return [found for found in self.differences if not found.repaired and found.kind not in settled]

    @property
    def unjudged(self) -> int:
        """How many records could not be judged."""
        return sum(found.kind == "unjudged" for found in self.differences)


NOTE_CHARS_MAX: Final = 300
_AWAY: Final = (*PASSING, IntegrityError, UnavailableError, BadCredentialsError, StarsNoAnswerError)
"""What the next record would meet as well."""
_BAD_DATA: Final = (ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


async def judged(found: Difference, look: Awaitable[Difference | None]) -> Difference | None:
    """What came of looking at one record, which `found` names; its own error makes it `unjudged`.

    Raises what every other record would meet too: the provider, the database or the ledger is away.
    """
    try:
        return await look
    except Exception as error:
        if isinstance(error, _AWAY) and not isinstance(error, _BAD_DATA):
            raise
        note = f"{type(error).__name__}: {error}"[:NOTE_CHARS_MAX]
        return replace(found, kind="unjudged", note=note)


def extra(row: asyncpg.Record, currency: str = "RUB", note: str = "") -> Difference:
    """A row of the ledger that the provider has not listed."""
    refund = row.get("provider_refund") or ""
    return Difference(
        kind="extra", object="refund" if refund else "payment", payment=row["payment"],
        provider_payment=row["provider_payment"], provider_refund=refund, ours_minor=row["amount_minor"],
        currency=currency, note=note,
    )  # fmt: skip


async def note_difference(pool: Pool, report: Report, found: Difference | None) -> None:
    """Keep what was found, and tell operators unless it is none of ours."""
    if found is None:
        return
    report.differences.append(found)
    if found.kind != "foreign":
        told = msgspec.to_builtins(found)
        alarm(f"difference_{told.pop('kind')}", **told)
    await pool.execute(
        query("difference_add"), report.comparison, found.kind, found.object, found.payment,
        found.provider_payment, found.provider_refund, found.ours_minor, found.theirs_minor,
        found.currency, found.repaired, clean_text(found.note),
    )  # fmt: skip
