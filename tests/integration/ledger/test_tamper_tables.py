"""Whatever is done to what is made of the log, and to what remembers it, is found and named."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from ledger.accounts.state import AccountState
from ledger.checkpoints import store as noted
from ledger.checkpoints.checkpoint import Checkpoint
from ledger.log.snapshots import Snapshot
from tests.integration.ledger.tampering import KEY, OTHER_KEY, OWED, Damaged, verified, write_log
from tests.support.servers import SessionPostgres


@pytest.fixture(scope="module")
def log_url(postgres: SessionPostgres) -> Iterator[str]:
    with postgres.database() as url:
        asyncio.run(write_log(url))
        yield url


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[Damaged]:
    connection = await asyncpg.connect(log_url)
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        yield Damaged(connection, await connection.fetchval("SELECT max(position) FROM events"))
    finally:
        await transaction.rollback()
        await connection.close()


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("UPDATE balances_v1 SET balance = balance + 1 WHERE account = 'a'", "projection", "1 rows: a"),
        ("UPDATE balances_v1 SET lots = '[]' WHERE account = 'b'", "projection", "1 rows: b"),
        ("UPDATE job_status_v1 SET state = 'succeeded' WHERE job = 'j2'", "projection", "1 rows: j2"),
        ("UPDATE job_status_v1 SET gifted = false WHERE job = 'j3'", "projection", "1 rows: j3"),
        ("UPDATE job_status_v1 SET position = position + 1 WHERE job = 'j1'", "projection", "1 rows: j1"),
        ("UPDATE job_status_v1 SET worker = 'w' WHERE job IN ('j1', 'j5')", "projection", "2 rows"),
        ("DELETE FROM job_status_v1 WHERE job = 'j1'", "projection", "1 rows: j1"),
        ("DELETE FROM balances_v1 WHERE account = 'a'", "projection", "1 rows: a"),
        ("UPDATE payments_v1 SET paid_minor = 1 WHERE payment = 'p1'", "projection", "1 rows: p1"),
        ("UPDATE payments_v1 SET intents = '[]', flag = 'x'", "projection", "6 rows"),
        ("DELETE FROM payments_v1 WHERE payment = 'p4'", "projection", "1 rows: p4"),
        ("UPDATE payments_v1 SET payment = 'ghost' WHERE payment = 'p4'", "projection", "2 rows: p4, ghost"),
        ("DELETE FROM open_jobs WHERE job = 'j4'", "open_jobs", "neither monitor nor relay"),
        ("INSERT INTO open_jobs VALUES ('j1', 'a', 9, 9)", "open_jobs", "it is not"),
        ("UPDATE open_jobs SET deadline_at_us = 1 WHERE job = 'j4'", "open_jobs", "otherwise"),
        ("UPDATE cursors SET position = position + 5 WHERE name = 'notifier'", "cursor", "its hash is"),
        ("UPDATE cursors SET hash = sha256('x'), position = 40 WHERE name = 'notifier'", "cursor",
         "later witnesses agree"),
        ("UPDATE checkpoints SET hash = sha256('x') WHERE number = 1", "checkpoint", "row has another hash"),
        ("UPDATE checkpoints SET position = 1 WHERE number = 1", "checkpoint", "not what its note"),
        ("UPDATE checkpoints SET note = 'x' WHERE number = 1", "checkpoint", "no signed note"),
        ("UPDATE checkpoints SET note = note || split_part(note, E'\\n\\n', 2)", "checkpoint", "it twice"),
        ("UPDATE checkpoints SET number = 5 WHERE number = 2", "checkpoint", "where number 2 should"),
        ("DELETE FROM checkpoints WHERE number = 1", "checkpoint", "no stored note signs that"),
        ("UPDATE snapshots SET position = position + 1 WHERE stream = 'account-a'", "snapshot", "not hold"),
        ("UPDATE snapshots SET state = '{}' WHERE stream = 'account-a'", "snapshot", "cannot be read"),
        ("ALTER TABLE events DROP CONSTRAINT events_whole", "guard", "constraint events_whole"),
    ],
)  # fmt: skip
async def test_what_is_changed_beside_the_log_is_found(log: Damaged, change: str, kind: str, words: str):
    await log.sql(change)
    guard = kind == "guard"
    problems = (await log.report(KEY.public)).problems if guard else await log.problems(KEY.public)
    assert any(p.kind == kind and words in p.message for p in problems), problems
    assert {p.kind for p in problems} == {kind}, problems


async def test_a_row_of_a_read_model_that_no_event_has_made_is_found(log: Damaged):
    columns = await log.connection.fetchval(
        "SELECT string_agg(column_name, ', ') FROM information_schema.columns "
        "WHERE table_name = 'job_status_v1' AND column_name <> 'job'"
    )
    await log.sql(
        f"INSERT INTO job_status_v1 (job, {columns}) SELECT 'ghost', {columns} FROM job_status_v1 LIMIT 1"
    )
    problems = await log.problems()
    assert [(p.kind, "1 rows: ghost" in p.message) for p in problems] == [("projection", True)], problems


@pytest.mark.parametrize("account", ("a", "b"))
async def test_a_richer_cached_state_is_found(log: Damaged, account: str):
    """With a right checksum: the appender would let it be spent."""
    row = await log.connection.fetchrow("SELECT * FROM snapshots WHERE stream = $1", f"account-{account}")
    assert row is not None
    state = msgspec.json.decode(json.dumps(json.loads(row["state"])["state"]), type=AccountState)
    lots = (replace(state.lots[0], amount=state.lots[0].amount + 100), *state.lots[1:])
    richer = replace(state, lots=lots, balance=state.balance + 100)
    made = Snapshot(row["stream"], row["version"], row["position"], row["hash"], richer)
    await log.sql(
        "UPDATE snapshots SET state = $2::text::json WHERE stream = $1", made.stream, made.sealed.decode()
    )
    problems = await log.problems()
    assert [(p.kind, p.position) for p in problems] == [("snapshot", made.position)], problems


async def test_a_checkpoint_replaced_by_one_of_another_key_is_found(log: Damaged):
    stored = (await noted.stored(log.connection))[0]
    forged = OTHER_KEY.sign(stored.statement.text())
    await log.sql("UPDATE checkpoints SET note = $1 WHERE number = 1", forged)
    [problem] = await log.problems()
    assert (problem.kind, problem.position) == ("checkpoint", stored.place.position)
    assert "another than the statement" in problem.message
    problems = await log.problems(KEY.public)
    assert [(p.kind, p.position) for p in problems] == [("checkpoint", stored.place.position)] * 2
    assert "not signed by" in problems[0].message


async def test_a_checkpoint_replaced_by_one_of_another_place_is_found(log: Damaged):
    """Signed by the right key, of another log: the log does not hold what it says."""
    stored = (await noted.stored(log.connection))[0]
    assert isinstance(stored.statement, Checkpoint)
    other = replace(stored.statement, root=b"\xab" * 32)
    await log.sql("UPDATE checkpoints SET note = $1 WHERE number = 1", KEY.sign(other.text()))
    problems = await log.problems(KEY.public)
    place = stored.place.position
    assert [(p.kind, p.position) for p in problems] == [("checkpoint", place), ("rewritten", place)], problems
    assert [p.kind for p in await log.problems()] == ["checkpoint"]  # the statement after it names another


async def test_events_of_all_kinds_are_right_from_any_place_on(log: Damaged):
    for row in await log.rows():
        report = await verified(log.connection, after=row.cursor)
        assert report.problems == [], row.position


@pytest.mark.parametrize(
    ("type_name", "written", "instead", "kind", "words"),
    [
        ("PaymentSucceeded", "39000", "390", "payment", "ordered otherwise than it is credited"),
        ("PromoCreated", '"amount":3', '"amount":2', "gift", "without its 2 credits"),
    ],
)
async def test_what_is_told_otherwise_with_hashes_that_fit_is_told_by_the_rules(
    log: Damaged, type_name: str, written: str, instead: str, kind: str, words: str
):
    await log.rewrite(0, lambda type_, data: data.replace(written, instead) if type_ == type_name else data)
    assert await log.chain_breaks() == []
    assert any(words in problem.message for problem in await log.problems() if problem.kind == kind)
    unsettled = await log.connection.fetchval("SELECT count(*) FROM audit.unsettled_payments")
    assert unsettled == (kind == "payment")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE deliveries SET blob = 'videos/other.mp4' WHERE kind = 'video'", "video message of j1 is"),
        ("UPDATE deliveries SET account = 'c' WHERE job = 'j1'", "video message of j1 is not"),
        ("UPDATE deliveries SET refunded = refunded + 1 WHERE job = 'j6'", "failure message of j6 is not"),
        ("UPDATE deliveries SET refunded = 99 WHERE kind = 'referral'", "referral message of c is not"),
        ("UPDATE deliveries SET position = 9000 WHERE job = 'p1'", "paid message of p1 is not"),
        ("DELETE FROM deliveries WHERE job = 'j3' AND kind = 'gift'", "message of job-j3 is owed since"),
        ("DELETE FROM deliveries WHERE job = 'p1'", "message of payment-p1 is owed since"),
        ("INSERT INTO deliveries SELECT 'j4', kind, 3, account, order_id, number, of_jobs, locale "
         "FROM deliveries WHERE job = 'j1'", "video message of j4 is not"),
    ],
)  # fmt: skip
async def test_a_message_that_the_log_does_not_owe_or_that_is_gone_is_found(
    log: Damaged, change: str, words: str
):
    await log.sql(OWED)
    assert await log.problems() == []
    await log.sql(change)
    problems = await log.problems()
    assert [p.kind for p in problems] == ["delivery"] and words in problems[0].message, problems


async def test_an_old_message_that_was_never_sent_does_not_make_swept_ones_owed(log: Damaged):
    await log.sql(OWED)
    await log.sql("UPDATE deliveries SET state = 'pending' WHERE job = 'j1'")
    await log.sql("DELETE FROM deliveries WHERE job <> 'j1'")
    assert await log.problems() == []
