"""What needs attention: each cause from what is known, the serious ones first, and nothing on a good day."""

from typing import Any

from msgspec.structs import replace

from services.dashboard.attention import NOTE_US, UNVERIFIED_US, Known, causes
from services.generation.provider_limits import ProviderAccount
from tests.support.each import each

NOW_US = 1_800_000_000_000_000
ROW = {
    "now_us": NOW_US, "overdue": 0, "deadline_at_us": None, "dead_letters": 0, "verified_at_us": NOW_US,
    "verified": 9, "problems": "{}", "signed": True, "notes_go": True, "note_owed_at_us": None,
    "archived_at_us": 2, "archive_failed_at_us": 1, "stuck_at_us": None,
}  # fmt: skip
READER = {"name": "daily", "active": True, "next_at_us": None}
MODEL = {"model": "m", "state": "available", "reason": "", "since_us": None}
GOOD = Known(
    ROW, [READER], [MODEL], [], [ProviderAccount("k", 100.0, 1.0, 0.0, 0)], None, None, 10**12, 40, True
)


def row(**changed: Any) -> Known:
    return replace(GOOD, row=ROW | changed)


TROUBLE = {
    "Verifying found": (row(problems='{"edited": 1}'), "/machinery#integrity"),
    "not been verified": (row(verified_at_us=NOW_US - UNVERIFIED_US - 1), "/machinery#integrity"),
    "nowhere but here": (row(notes_go=False), "/audit"),
    "not been delivered": (row(note_owed_at_us=NOW_US - NOTE_US - 1), "/audit"),
    "past their deadline": (row(overdue=500, deadline_at_us=1), "/jobs?state=open"),
    "wait for a decision": (row(dead_letters=2), "/errors"),
    "archive its WAL": (row(archive_failed_at_us=3), "/machinery#backups"),
    "restored on trial": (replace(GOOD, backups="undrilled"), "/machinery#backups"),
    "older than 36 hours": (replace(GOOD, backups="old"), "/machinery#backups"),
    "found something": (replace(GOOD, backups="damaged"), "/machinery#backups"),
    "has not moved": (row(stuck_at_us=1), "/operations"),
    "second person": (replace(GOOD, proposals=2), "/operations"),
    "Sales are paused": (replace(GOOD, closed="paused"), "/sales/resume"),
    "template": (replace(GOOD, alerts=[{"cause": "prompts", "detail": "30 %", "changed_at_us": 1}]), ""),
    "left alone": (replace(GOOD, models=[MODEL | {"state": "paused"}]), "/models/m/resume"),
    "has the credits": (replace(GOOD, accounts=[ProviderAccount("k", 39.0, 1.0, 0.0, 0)]), "https://kie.ai/billing"),
    "Redis is away": (replace(GOOD, redis="refused"), "/machinery"),
    "behind the log": (replace(GOOD, readers=[READER | {"next_at_us": 1}]), "/machinery"),
    "nearly full": (replace(GOOD, free_bytes=1), "/machinery"),
}  # fmt: skip


@each("said", list(TROUBLE))
def test_each_trouble_is_one_cause_with_its_remedy(said: str) -> None:
    known, remedy = TROUBLE[said]
    (cause,) = causes(known)
    assert said in cause.said and (cause.said % cause.facts)
    assert remedy in {href for href, _ in cause.remedies} | {""}


def test_a_good_day_has_none_and_the_serious_ones_come_first() -> None:
    assert causes(GOOD) == []
    assert causes(replace(GOOD, accounts=None, free_bytes=None)) == []  # what is not known is no trouble
    many = replace(GOOD, row=ROW | {"dead_letters": 500, "overdue": 1}, redis="away")
    assert [cause.serious for cause in causes(many)] == [True, True, False]
    assert [c.facts["count"] for c in causes(many) if c.facts.get("count")] == ["1", "500+"]
