"""An auditor's questions about facts: who did what, what is unusual, a sample, access, reads."""

import asyncio
import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import asyncpg
import pytest

from events.codec import EVENT_TYPES
from events.envelope import Recorded
from events.job import Failure
from ledger import commands as c
from ledger.checkpoints.checkpoint import Checkpoint
from ledger.checkpoints.merkle import root_of
from ledger.checkpoints.signed_note import new_key
from projections.reports import audit_questions
from projections.reports.journal import ACTED, PROCESSES, Filter, journal
from projections.reports.log_position import NOW
from services.accounts.personal_data import PersonalData
from services.cli.errors import ExitCode
from services.migrations import auditors
from services.migrations.logins import LOGINS
from tests.integration.services.cli.conftest import Run
from tests.support.fake_clock_ledger import FakeClockLedger

Keep = Callable[[Iterable[Recorded]], None]
OwnRows = Callable[[str], None]


def desk() -> FakeClockLedger:
    """An operator op7, and an admin in the chat."""
    made = FakeClockLedger()
    made.open("a", 2)
    made.open("b", 0)
    made.do(c.GrantCredits("a", 60, "manual", "sorry, ticket 12", actor="login:op7"))
    made.do(c.GrantCredits("b", 5, "manual", "for a friend", actor="account:b"))
    made.do(c.RevokeCredits("a", 3, "mistake", actor="login:op7"))
    return made


def test_what_somebody_did_in_the_log_and_beside_it(run: Run, keep: Keep, own_rows: OwnRows) -> None:
    keep(desk().events)
    own_rows(
        "INSERT INTO model_changes (model, state, set_by, actor, reason, changed_us) VALUES "
        "('m', 'paused', 'operator', 'login:op7', 'bad videos', 9), "
        "('m', 'paused', 'operator', 'login:op8', '', 9);"
        "INSERT INTO person_reads (login, actor, what, account) VALUES ('op7', '', 'jobs show', 'a'), "
        "('neurocards_bot', 'account:b', '/user', 'a');"
        "UPDATE events SET writer = 'op7' WHERE position = 1;"
        "UPDATE events SET writer = 'neurocards_bot' WHERE position > 1 AND writer IS NOT NULL"
    )
    rows = run("ledger", "actions", "--actor", "op7", "-o", "json").rows
    assert [row["what"] for row in rows] == [
        "data read: jobs show", "CreditsRevoked", "CreditsGranted", "AccountOpened", "model paused",
    ]  # fmt: skip
    assert rows[2]["of"] == "account-a" and "sorry, ticket 12" in rows[2]["words"]
    rows = run("ledger", "actions", "--actor", "account:b", "-o", "json").rows
    assert [row["what"] for row in rows] == ["data read: /user", "CreditsGranted"]
    assert [
        len(run("ledger", "actions", "--actor", "op7", "--limit", str(n)).out.splitlines()) for n in (1, 2)
    ] == [5, 6]
    nobody = run("ledger", "actions", "--actor", "op9")
    assert (nobody.code, nobody.out, nobody.err.strip()) == (0, "", "0 actions: there are none")


def test_the_journal_by_kind_actor_amount_and_reason(run: Run, keep: Keep) -> None:
    keep(desk().events)

    def found(*words: str) -> list[int]:
        return [row["data"]["amount"] for row in run("ledger", "journal", *words, "-o", "json").rows]

    assert found("--kind", "manual") == [60, 5, 3]
    assert found("--kind", "manual", "--type", "CreditsRevoked") == [3]
    assert found("--actor", "login:op7", "--min", "4") == [60]
    assert found("--reason", "FRIEND") == found("--user", "b", "--actor", "account:b") == [5]
    assert found("--user", "a", "--min", "60", "--newest") == [60]
    assert found("--reason", "%") == []
    rows = run("ledger", "journal", "-o", "json").rows
    assert {(row["account"], row["unit"]) for row in rows if row["type"] == "CreditsGranted"} == {
        ("a", "credits"), ("b", "credits"),
    }  # fmt: skip
    assert {(r["account"], r["unit"]) for r in run("ledger", "statement", "a", "-o", "json").rows} == {
        ("a", "credits")
    }


def test_what_is_to_be_looked_at_first(run: Run, keep: Keep, own_rows: OwnRows) -> None:
    made = desk()
    made.do(c.OrderVideos("b", "o", ("j",), 5, "m", "ugc", "p", "t", "ru", 60))
    made.do(c.StartJob("j", 1, "w"))
    made.do(c.FailJob("j", "b", "operator", Failure("timeout", "x"), actor="login:op7"))
    keep(made.events)
    last = made.events[-1]
    money = {"amount_minor": 990}
    lots = {"reference": "yookassa:x", "parts": [{"lot": 1, "kind": "purchase", "amount": 2}]}
    events = [
        ("job-j", "VideoGifted", {}),
        ("payment-p", "PaymentFlagged", {"problem": "amount", "account": "b", "currency": "RUB"} | money),
        ("account-b", "CreditsRevoked", {"kind": "payment", "reason": "back", "amount": 9} | lots),
    ]
    for n, (stream, kind, data) in enumerate(events, 1):
        own_rows(
            "INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash) VALUES "
            f"({last.position + n}, '{stream}', 90, '{kind}', '{json.dumps(data)}', {last.recorded_at_us}, "
            "decode(repeat('00', 32), 'hex'))"
        )
    own_rows(
        "INSERT INTO balances (account, balance, debt, position, updated_at_us) VALUES ('b', -7, 7, 3, 9)"
    )
    rows = run("ledger", "exceptions", "-o", "json").rows
    assert {(row["kind"], row["account"], row["amount"], row["unit"], row["of"]) for row in rows} == {
        ("grant", "a", 60, "credits", None),
        ("refunded_and_delivered", "b", 5, "credits", "j"),
        ("refunded_and_spent", "b", 7, "credits", "yookassa:x"),
        ("flagged_money", "b", 990, "RUB minor", "p"),
        ("debt", "b", 7, "credits", ""),
    }
    assert [
        row["amount"]
        for row in run("ledger", "exceptions", "--above", "61", "-o", "json").rows
        if row["kind"] == "grant"
    ] == []
    none = run("ledger", "exceptions", "--from", str(last.position + 4), "--to", str(last.position + 3))
    assert (none.code, none.out, none.err.strip()) == (0, "", "0 exceptions: there are none")


def test_a_sample_that_anybody_can_repeat_with_proofs(
    run: Run, keep: Keep, own_rows: OwnRows, tmp_path: Path
) -> None:
    keep(desk().events)
    key = new_key("example.com/credits")
    public = str(key.public)
    none = run("ledger", "sample", "--seed", "7", "--size", "3", "--to", str(tmp_path / "none"))
    assert none.code == ExitCode.NOT_FOUND and "checkpoint" in none.err
    size = len(desk().events)
    signed = Checkpoint(key.name, size, root_of([event.hash for event in desk().events]))
    own_rows(
        "INSERT INTO checkpoints (number, kind, position, hash, note) "
        f"VALUES (1, 'checkpoint', {size}, sha256(''), '{key.sign(signed.text())}')"
    )
    wanted = (
        "ledger",
        "sample",
        "--seed",
        "7",
        "--size",
        "3",
        "--to",
        str(tmp_path / "proofs"),
        "-o",
        "json",
    )
    rows = run(*wanted).rows
    assert rows == run(*wanted).rows
    by_hand = dict.fromkeys(1 + int(sha256(f"7:{n}".encode()).hexdigest(), 16) % size for n in range(1, 200))
    assert [row["position"] for row in rows] == list(by_hand)[:3]
    for row in rows:
        assert run("ledger", "verify-proof", row["proof"], "--public-key", public).code == 0
    granted = run(*wanted, "--type", "CreditsGranted", "--size", "99").rows
    types = {event.position: event.type for event in desk().events}
    assert [row["position"] for row in granted] == [n for n in by_hand if types[n] == "CreditsGranted"]


async def test_who_may_log_in_and_since_when(run: Run, database_url: str, owner) -> None:
    name = f"x{(await owner.fetchval('SELECT current_database()'))[5:25]}"
    owner_url = database_url.replace("neurocards_operator", "postgres")
    login, _ = await auditors.add(owner_url, name)
    try:
        done = await asyncio.to_thread(run, "ledger", "access", "-o", "json", DATABASE_URL=owner_url)
        rows = {row["login"]: row for row in done.rows}
        assert set(LOGINS.values()) | {login, "postgres"} <= set(rows)
        assert "neurocards_reader" not in rows  # nobody logs in as it
        assert rows[login]["roles"] == ["neurocards_reader"] and rows[login]["since"][:2] == "20"
        assert rows["postgres"]["superuser"] and not rows["neurocards_bot"]["superuser"]
        assert rows["neurocards_operator"]["connections"] > 0 and rows["neurocards_operator"]["last_used"]
        assert rows[login]["last_used"] is None
        own = database_url.replace("neurocards_operator", login)
        for words in (("access",), ("reads",), ("exceptions",), ("actions", "--actor", "op7")):
            assert (await asyncio.to_thread(run, "ledger", *words, DATABASE_URL=own)).code == 0, words
    finally:
        await auditors.remove(owner_url, name)


async def test_who_looks_at_a_persons_data_is_noted_before_it_is_shown(
    run: Run, pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = PersonalData(pool)
    person = await people.account_of(4242, "ru")
    monkeypatch.setattr("sys.argv", ["neurocards", "ledger", "balance", "4242"])
    await asyncio.to_thread(run, "ledger", "balance", "4242", READ_REASON="ticket 12")
    done = await asyncio.to_thread(run, "ledger", "reads", "-o", "json")
    ((_, row),) = enumerate(done.rows)
    assert (row["login"], row["what"], row["account"], row["reason"]) == (
        "neurocards_operator", "ledger balance", person.account, "ticket 12",
    )  # fmt: skip
    ref = await people.keep_words(person.account, "the person in the photo is Anna")
    from services.cli.outside_words import words_of

    monkeypatch.setenv("DATABASE_URL", database_url)
    assert await asyncio.to_thread(words_of, [ref, ref]) == {ref: "the person in the photo is Anna"}
    assert await pool.fetchval("SELECT count(*) FROM person_reads") == 2
    monkeypatch.setenv("DATABASE_URL", database_url.replace("neurocards_operator", "neurocards_relay"))
    assert await asyncio.to_thread(words_of, [ref]) == {}  # who cannot be noted is shown nothing
    nobody = await asyncio.to_thread(run, "ledger", "reads", "--to", "2020-01-01")
    assert nobody.err.strip() == "0 reads: there are none"


def test_the_indexes_name_the_types_that_have_an_actor_and_the_processes(database_url: str) -> None:
    acted = {name for name, cls in EVENT_TYPES.items() if "actor" in cls.__struct_fields__}
    assert {name.strip("' ") for name in ACTED.split(",")} == acted
    processes = {name.strip("' ") for name in PROCESSES.split(",")}
    assert processes < set(LOGINS.values())

    async def defined() -> dict[str, str]:
        connection = await asyncpg.connect(database_url)
        rows = await connection.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events'")
        await connection.close()
        return {row["indexname"]: row["indexdef"] for row in rows}

    indexes = asyncio.run(defined())
    assert {name for name in EVENT_TYPES if f"'{name}'" in indexes["events_actor"]} == acted
    assert {name for name in LOGINS.values() if f"'{name}'" in indexes["events_writer"]} == processes


class Explained:
    """Asks for the plan of what is asked, and answers nothing."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self.plans: list[str] = []

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        rows = await self.connection.fetch(f"EXPLAIN {sql}", *arguments)
        self.plans.append("\n".join(row[0] for row in rows))
        return []

    async def fetchrow(self, sql: str, *arguments: object) -> asyncpg.Record | None:
        return await self.connection.fetchrow(sql, *arguments)


async def test_what_is_seldom_is_found_by_its_index(database_url: str, owner, own_rows) -> None:
    fill = """INSERT INTO events (position, stream, version, type, data, recorded_at_us, hash)
              SELECT n, 'job-' || n, 1, 'JobStarted', '{"run": 1}', n, decode(repeat('00', 32), 'hex')
              FROM generate_series(1, 20000) AS n"""
    await asyncio.to_thread(own_rows, fill)
    await asyncio.to_thread(own_rows, "ANALYZE events")
    reader = Explained(owner)
    await journal(reader, Filter(actor="login:op7"))  # type: ignore[arg-type]
    for index, found in (("events_actor", "((data ->> 'actor'::text) = "), ("events_writer", "(writer = ")):
        assert index in reader.plans[0] and f"Index Cond: ({found}" in reader.plans[0]
    await journal(reader, Filter(types=("CreditsGranted", "VideoGifted"), least=50))  # type: ignore[arg-type]
    assert "events_seldom" in reader.plans[2]
    await audit_questions.exceptions(reader, 50, None, NOW, 100)  # type: ignore[arg-type]
    assert reader.plans[-1].count("events_seldom") == 5 and "Seq Scan on events" not in reader.plans[-1]
