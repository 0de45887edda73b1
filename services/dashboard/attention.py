"""What needs attention: causes that hold many people back, the worst first, each with its remedy."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from ledger.errors import WhyPaused
from services.generation.provider_limits import ProviderAccount
from services.platform.catalogues import N_

Row = asyncpg.Record | Mapping[str, Any]

LAG_US: Final = 60_000_000
UNVERIFIED_US: Final = 3_600_000_000
NOTE_US: Final = 3_600_000_000
DISK_BYTES_MIN: Final = 2_000_000_000
KIE: Final = "https://kie.ai/billing"


class Cause(msgspec.Struct, frozen=True):
    """One cause. `said` is a msgid for `facts`; `remedies` are addresses and msgids.

    `since_us` (epoch microseconds) is None where nobody knows since when.
    """

    said: str
    facts: dict[str, Any] = {}
    since_us: int | None = None
    remedies: tuple[tuple[str, str], ...] = ()
    serious: bool = True


class Known(msgspec.Struct, frozen=True):
    """What is looked at. `row` is the query `attention`; `redis` says why Redis is silent, or None.

    `accounts` are None while Redis is away. `video_credits`: what the cheapest video costs at the provider.
    """

    row: Row
    readers: Sequence[Row]
    models: Sequence[Row]
    alerts: Sequence[Row]
    accounts: Sequence[ProviderAccount] | None
    redis: str | None
    closed: WhyPaused | None
    free_bytes: int | None
    video_credits: int
    verifies: bool


_ALERTS: Final = {
    "prompts": N_(
        "%(detail)s of the last hour's prompts were written from the template: OpenAI does not answer."
    ),
    "welcome": N_("Today's welcome credits are given away: new sellers start with none."),
}  # fmt: skip
_SALES: Final = {
    "paused": N_("Sales are paused: nobody can order or pay."),
    "cap": N_("The day's cap on the provider's cost is reached: no orders until midnight UTC."),
}


def causes(known: Known) -> list[Cause]:
    """All causes, the serious ones first."""
    found = [*_integrity(known), *_people(known), *_provider(known), *_machine(known)]
    return sorted(found, key=lambda cause: not cause.serious)


def _integrity(known: Known) -> Iterable[Cause]:
    row, now_us = known.row, known.row["now_us"]
    checks = (("/machinery#integrity", N_("what was verified")), ("/audit", N_("Audit")))
    if problems := json.loads(row["problems"] or "{}"):
        kinds = ", ".join(sorted(problems))
        said = N_("Verifying found what cannot be in the log or the books: %(kinds)s. Repair nothing yet.")
        yield Cause(said, {"kinds": kinds}, row["verified_at_us"], checks)
    if (
        known.verifies
        and row["verified_at_us"] is not None
        and now_us - row["verified_at_us"] > UNVERIFIED_US
    ):
        said = N_("The log has not been verified for long: is maintenance running?")
        yield Cause(said, {}, row["verified_at_us"], checks[:1], serious=False)
    if row["signed"] and not row["notes_go"]:
        said = N_("Signed notes are kept nowhere but here: set NOTES_CHAT_ID or NOTES_MAIL_TO.")
        yield Cause(said, {}, None, checks[1:], serious=False)
    if row["note_owed_at_us"] is not None and now_us - row["note_owed_at_us"] > NOTE_US:
        said = N_("A signed note has not been delivered.")
        yield Cause(said, {}, row["note_owed_at_us"], checks[1:], serious=False)


def _people(known: Known) -> Iterable[Cause]:
    row = known.row
    if row["overdue"]:
        said = N_("%(count)s jobs are past their deadline and not refunded: is the monitor running?")
        late = ("/jobs?state=open", N_("the jobs"))
        yield Cause(said, {"count": _count(row["overdue"])}, row["deadline_at_us"], (late,))
    if known.closed:
        yield Cause(_SALES[known.closed], {}, None, (("/sales/resume", N_("sell again")),))
    if row["dead_letters"]:
        said = N_("%(count)s failed jobs wait for a decision: make them again or leave them.")
        errors = ("/errors", N_("the causes"))
        yield Cause(said, {"count": _count(row["dead_letters"])}, None, (errors,), serious=False)
    for alert in known.alerts:
        if said := _ALERTS.get(alert["cause"], ""):
            yield Cause(said, {"detail": alert["detail"]}, alert["changed_at_us"], serious=False)


def _count(number: int) -> str:
    return "500+" if number >= 500 else str(number)


def _provider(known: Known) -> Iterable[Cause]:
    for model in known.models:
        if model["state"] in ("paused", "failing"):
            said = N_("The model %(model)s is left alone: %(reason)s.")
            resume = f"/models/{model['model']}/resume"
            facts = {"model": model["model"], "reason": model["reason"] or model["state"]}
            yield Cause(
                said, facts, model["since_us"], ((resume, N_("resume it")), ("/errors", N_("the causes")))
            )
    balances = [a.credits for a in known.accounts or () if a.credits is not None]
    if balances and max(balances) < known.video_credits:
        said = N_("No KIE account has the credits for one video; the most are %(most)s.")
        yield Cause(said, {"most": f"{max(balances):g}"}, None, ((KIE, N_("top up")),))


def _machine(known: Known) -> Iterable[Cause]:
    row, now_us = known.row, known.row["now_us"]
    machinery = (("/machinery", N_("Machinery")),)
    if known.redis is not None:
        said = N_("Redis is away: new jobs wait, refunds go on. It says: %(why)s")
        yield Cause(said, {"why": known.redis}, None, machinery)
    late = [r for r in known.readers if r["active"] and r["next_at_us"] and now_us - r["next_at_us"] > LAG_US]
    if late:
        said = N_("More than a minute behind the log: %(names)s. People see what is old, or hear nothing.")
        names = ", ".join(r["name"] for r in late)
        yield Cause(said, {"names": names}, min(r["next_at_us"] for r in late), machinery)
    if known.free_bytes is not None and known.free_bytes < DISK_BYTES_MIN:
        said = N_("The disk is nearly full: %(free)s GB left.")
        yield Cause(said, {"free": f"{known.free_bytes / 1e9:.1f}"}, None, machinery)
    if (row["archive_failed_at_us"] or 0) > (row["archived_at_us"] or 0):
        said = N_("Postgres cannot archive its WAL: what came since cannot be restored.")
        yield Cause(said, {}, row["archived_at_us"], (("/machinery#backups", N_("Backups")),), serious=False)
