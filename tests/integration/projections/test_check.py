"""The check is silent when all is well, and finds what was changed behind the system's back."""

import pytest

from projections.verify.run import check_ledger
from tests.support.books import Books
from tests.support.traffic import Traffic

OPEN_GUARD = "ALTER TABLE events DISABLE TRIGGER events_append_only;"


async def test_a_right_ledger_is_silent_at_any_place_of_the_projections(
    traffic: Traffic, pool, catch_up, ledger
):
    assert await check_ledger(pool) == []
    await traffic.play(80)
    assert await check_ledger(pool) == []
    await catch_up(up_to=30)
    assert await check_ledger(pool) == []
    await catch_up("balances")
    assert await check_ledger(pool) == []


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        ("UPDATE balances_v1 SET balance = balance + 1 WHERE account = 'a1'", "projection", "a1"),
        (
            "DELETE FROM job_status_v1 WHERE job = (SELECT min(job) FROM job_status_v1)",
            "projection",
            "1 rows",
        ),
        (
            "INSERT INTO balances_v1 SELECT 'ghost', 5, 5, 0, 0, 0, 0, 0, '', NULL, 0, 1, 0, 0, '[]', 0",
            "projection",
            "ghost",
        ),
        ("UPDATE cursors SET position = position - 1 WHERE position > 0", "cursor", "its hash is that of"),
        ("UPDATE cursors SET position = position + 1000", "cursor", "its hash is that of"),
        ("UPDATE cursors SET position = position + 9, hash = sha256(hash)", "cut", "9 events are missing"),
        ("UPDATE cursors SET hash = sha256(hash)", "rewritten", "saw another event"),
        ("DELETE FROM cursors WHERE name = 'balances'", "projection", "neurocards migrate"),
        ("DELETE FROM open_jobs", "open_jobs", "neither monitor nor relay"),
        ("INSERT INTO open_jobs VALUES ('ghost', 'a0', 1, 1)", "open_jobs", "ghost"),
        (
            OPEN_GUARD + "UPDATE events SET recorded_at_us = recorded_at_us + 1 WHERE position = 9",
            "edited",
            "recorded_at_us at position 9 was",
        ),
        (OPEN_GUARD + "DELETE FROM events WHERE position = 9", "deleted", "position 9 is missing"),
        ("ALTER TABLE events DISABLE TRIGGER events_append_only", "guard", "events_append_only"),
    ],
)
async def test_what_was_changed_is_found(
    traffic: Traffic, pool, owner, catch_up, change: str, kind: str, word: str
):
    await traffic.play(40)
    await catch_up()
    await owner.execute(change)
    problems = await check_ledger(pool)
    assert any(problem.kind == kind and word in problem.message for problem in problems), problems


async def test_the_trial_balance_in_sql_is_the_one_in_python(traffic: Traffic, pool, owner, ledger):
    await traffic.play(80)
    books = Books()
    async for recorded in ledger.read.scan():
        books.record(recorded)
    rows = {row["account"]: row["balance"] for row in await owner.fetch("SELECT * FROM audit.trial_balance")}
    assert rows == dict(books)
    assert sum(rows.values()) == 0
    assert {"issued:bonus", "spent:generation", "user:a0"} <= rows.keys()
