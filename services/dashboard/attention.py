"""What needs attention: causes that hold many people back, the worst first, each with its remedy."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from ledger.errors import WhyPaused
from services.generation.provider_limits import ProviderAccount
from services.platform import disks
from services.platform.catalogues import N_
from services.recovery.backup_runs import Concern

Row = asyncpg.Record | Mapping[str, Any]

LAG_US: Final = 60_000_000
UNVERIFIED_US: Final = 3_600_000_000
NOTE_US: Final = 3_600_000_000
STUCK_US: Final = 600_000_000


class Cause(msgspec.Struct, frozen=True):
    """One cause. `said` is a msgid for `facts`; `remedies` are addresses and msgids.

    `since_us` (epoch microseconds) is None where nobody knows since when.
    """

    said: str
    facts: dict[str, Any]
    since_us: int | None
    remedies: tuple[tuple[str, str], ...]
    serious: bool


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
    proposals: int = 0
    backups: Concern | None = None


SAID: Final = {
    "books": N_("Verifying found what cannot be in the log or the books: %(kinds)s. Repair nothing yet."),
    "unverified": N_("The log has not been verified for long: is maintenance running?"),
    "nowhere": N_(
        "Signed notes are kept nowhere but here: set NOTES_MAIL_TO, NOTES_BUCKET or NOTES_CHAT_ID."
    ),
    "undelivered": N_("A signed note has not been delivered."),
    "overdue": N_("%(count)s jobs are past their deadline and not refunded: is the monitor running?"),
    "paused": N_("Sales are paused: nobody can order or pay."),
    "cap": N_("The day's cap on the provider's cost is reached: no orders until midnight UTC."),
    "dead_letters": N_("%(count)s failed jobs wait for a decision: make them again or leave them."),
    "stuck": N_("An operation has not moved for ten minutes: who carries it out is away, or fails."),
    "proposals": N_("%(count)s changes of credits wait for a second person."),
    "prompts": N_("%(detail)s of the last hour's prompts come from the template: OpenAI does not answer."),
    "welcome": N_("Today's welcome credits are given away: new sellers start with none."),
    "model": N_("The model %(model)s is left alone: %(reason)s."),
    "balance": N_("No KIE account has the credits for one video; the most are %(most)s."),
    "redis": N_("Redis is away: new jobs wait, refunds go on. It says: %(why)s"),
    "lag": N_("More than a minute behind the log: %(names)s. People see what is old, or hear nothing."),
    "disk": N_("The disk is nearly full: %(free)s GB left."),
    "archive": N_("Postgres cannot archive its WAL: what came since cannot be restored."),
    "damaged": N_("The newest check or drill of the backups has found something."),
    "old": N_("The last backup is older than 36 hours."),
    "undrilled": N_("No backup was restored on trial for eight days: what cannot be restored is none."),
}
_SERIOUS: Final = {
    "books", "overdue", "paused", "cap", "model", "balance", "redis", "lag", "disk", "damaged",
}  # fmt: skip
_CAUSES = ("/errors", N_("the causes"))
_REMEDIES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    **dict.fromkeys(("books", "unverified"), (("/machinery#integrity", N_("what was verified")),)),
    **dict.fromkeys(("nowhere", "undelivered"), (("/audit", N_("Audit")),)),
    **dict.fromkeys(("paused", "cap"), (("/sales/resume", N_("sell again")),)),
    **dict.fromkeys(("redis", "lag", "disk"), (("/machinery", N_("Machinery")),)),
    **dict.fromkeys(("stuck", "proposals"), (("/operations", N_("Operations")),)),
    "overdue": (("/jobs?state=open", N_("the jobs")),),
    "dead_letters": (_CAUSES,),
    "balance": (("https://kie.ai/billing", N_("top up")),),
    **dict.fromkeys(("archive", "damaged", "old", "undrilled"), (("/machinery#backups", N_("Backups")),)),
}


def causes(known: Known) -> list[Cause]:
    """All causes, the serious ones first."""
    return sorted((*_ours(known), *_beside(known)), key=lambda cause: not cause.serious)


def _cause(name: str, since_us: int | None = None, **facts: Any) -> Cause:
    return Cause(SAID[name], facts, since_us, _REMEDIES.get(name, ()), name in _SERIOUS)


def _ours(known: Known) -> Iterable[Cause]:
    """Log, notes, jobs, sales and readers."""
    row, now_us = known.row, known.row["now_us"]
    if problems := json.loads(row["problems"] or "{}"):
        yield _cause("books", row["verified_at_us"], kinds=", ".join(sorted(problems)))
    if known.verifies and now_us - (row["verified_at_us"] or now_us) > UNVERIFIED_US:
        yield _cause("unverified", row["verified_at_us"])
    if row["signed"] and not row["notes_go"]:
        yield _cause("nowhere")
    if now_us - (row["note_owed_at_us"] or now_us) > NOTE_US:
        yield _cause("undelivered", row["note_owed_at_us"])
    if row["overdue"]:
        yield _cause("overdue", row["deadline_at_us"], count=_count(row["overdue"]))
    if row["dead_letters"]:
        yield _cause("dead_letters", count=_count(row["dead_letters"]))
    if now_us - (row["stuck_at_us"] or now_us) > STUCK_US:
        yield _cause("stuck", row["stuck_at_us"])
    if known.proposals:
        yield _cause("proposals", count=known.proposals)
    if known.closed:
        yield _cause(known.closed)
    late = [r for r in known.readers if r["active"] and now_us - (r["next_at_us"] or now_us) > LAG_US]
    if late:
        since_us = min(reader["next_at_us"] for reader in late)
        yield _cause("lag", since_us, names=", ".join(reader["name"] for reader in late))
    if (row["archive_failed_at_us"] or 0) > (row["archived_at_us"] or 0):
        yield _cause("archive", row["archived_at_us"])
    if known.backups:
        yield _cause(known.backups)


def _beside(known: Known) -> Iterable[Cause]:
    """Provider, models, Redis, disk, and what only maintenance sees."""
    for alert in known.alerts:
        if alert["cause"] in ("prompts", "welcome"):
            yield _cause(alert["cause"], alert["changed_at_us"], detail=alert["detail"])
    for model in known.models:
        if model["state"] in ("paused", "failing"):
            name, reason = model["model"], model["reason"] or model["state"]
            resume = (f"/models/{name}/resume", N_("resume it"))
            found = _cause("model", model["since_us"], model=name, reason=reason)
            yield msgspec.structs.replace(found, remedies=(resume, _CAUSES))
    balances = [a.credits for a in known.accounts or () if a.credits is not None]
    if balances and max(balances) < known.video_credits:
        yield _cause("balance", most=f"{max(balances):g}")
    if known.redis is not None:
        yield _cause("redis", why=known.redis)
    if known.free_bytes is not None and known.free_bytes < disks.LITTLE_BYTES:
        yield _cause("disk", free=f"{known.free_bytes / 1e9:.1f}")


def _count(number: int) -> str:
    return "500+" if number >= 500 else str(number)
