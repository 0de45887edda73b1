"""What an auditor reads with `neurocards ledger`: balances, statements, books, journal, chains of causes."""

import asyncio
from collections.abc import Callable, Iterable

import asyncpg

from events.envelope import Recorded
from events.stream_names import account_stream
from ledger import commands as c
from ledger.payments import commands as p
from services.cli.errors import ExitCode
from services.cli.timespec import clock, iso
from tests.integration.services.cli.conftest import Run
from tests.support.fake_clock_ledger import DAY_US, FakeClockLedger
from tests.support.history import rehashed
from tests.unit.projections.reports.test_explain import story
from tests.unit.projections.reports.test_statement import busy

Keep = Callable[[Iterable[Recorded]], None]
COMMANDS = (
    ("balance", "a"), ("statement", "a"), ("trial-balance",), ("journal",), ("explain", "1"),
)  # fmt: skip


def test_an_empty_log_is_read_without_a_stumble(run: Run) -> None:
    assert run("ledger", "trial-balance", "-o", "json").rows == []
    assert run("ledger", "trial-balance", "--at", "2026-01-01").code == 0
    journal = run("ledger", "journal")
    assert (journal.code, journal.err.strip()) == (0, "no event matches")
    for words in (("balance", "a"), ("statement", "a"), ("explain", "1"), ("journal", "--user", "a")):
        assert run("ledger", *words).code == ExitCode.NOT_FOUND


def test_what_is_not_there_is_exit_4_with_words(run: Run, keep: Keep) -> None:
    keep(busy().events)
    for words, hint in (
        (("balance", "nobody"), "no account 'nobody'"),
        (("statement", "77"), "no account '77'"),
        (("balance", "a", "--at", "9999"), "no position 9999: the log ends at"),
        (("explain", "nothing"), "'nothing'"),
        (("explain", "a"), "it is an account"),
        (("journal", "--job", "nothing"), "no job 'nothing'"),
        (("journal", "--payment", "nothing"), "no payment 'nothing'"),
    ):
        done = run("ledger", *words)
        assert (done.code, done.out) == (ExitCode.NOT_FOUND, ""), words
        assert hint in done.err


def test_a_bad_time_or_type_is_exit_2(run: Run) -> None:
    for words in (
        ("balance", "a", "--at", "yesterday"),
        ("balance", "a", "--at", "2026-02-30"),
        ("balance", "a", "--at", "-5"),
        ("balance", "a", "--at", "9" * 30),
        ("statement", "a", "--from", "2026-13-01"),
        ("trial-balance", "--at", ""),
        ("journal", "--to", "noon"),
        ("journal", "--type", "CreditGranted"),
        ("journal", "--limit", "0"),
    ):
        done = run("ledger", *words)
        assert (done.code, done.out) == (ExitCode.USAGE, ""), words
        assert done.err


def test_a_balance_at_any_moment(run: Run, keep: Keep) -> None:
    desk = FakeClockLedger()
    desk.open("a", 2)
    due_us = desk.now_us + DAY_US
    desk.do(c.GrantCredits("a", 5, "promo", "SPRING", expires_at_us=due_us))
    keep(desk.events)
    before, after = iso(due_us - 1), iso(due_us)
    [row] = run("ledger", "balance", "a", "--at", str(before), "-o", "jsonl").rows
    assert (row["balance"], row["unbooked_expiry"], row["position"]) == (7, 0, 4)
    assert [lot["lot"] for lot in row["lots"]] == [2, 1]  # in the order they are spent
    assert row["lots"][0] == {"lot": 2, "kind": "promo", "amount": 5, "expires_at": after}
    done = run("ledger", "balance", "a", "--at", str(after), "-o", "jsonl")
    assert (done.rows[0]["balance"], done.rows[0]["unbooked_expiry"]) == (2, 5)
    assert "5 credits more have expired" in done.err
    [row] = run("ledger", "balance", "a", "--at", "3", "-o", "jsonl").rows
    assert (row["balance"], row["at"]) == (2, iso(desk.events[2].recorded_at_us))
    assert run("ledger", "balance", "a", "--at", "0", "-o", "jsonl").rows[0]["balance"] == 0
    future = run("ledger", "balance", "a", "--at", "2090-01-01", "-o", "jsonl")
    assert "not come yet" in future.err


def test_a_statement_opens_moves_and_closes(run: Run, keep: Keep) -> None:
    desk = busy()
    keep(desk.events)
    rows = run("ledger", "statement", "a", "-o", "json").rows
    assert [row["what"] for row in rows] == [
        "opening", "grant", "grant", "grant", "charge", "charge", "refund", "expiry", "charge", "refund",
        "revocation", "grant", "closing",
    ]  # fmt: skip
    assert len({tuple(row) for row in rows}) == 1  # the same fields in every line
    revocation = rows[-3]
    assert (revocation["amount"], revocation["balance"], revocation["debt"]) == (-15, -4, -4)
    assert (revocation["payment"], revocation["reason"]) == ("pay-1", "chargeback")
    expiry = rows[7]
    assert expiry["at"] < expiry["booked_at"]
    refund = rows[9]
    assert refund["job"] == "j2" and {lot["lot"] for lot in refund["lots"]} == {1, 3}
    assert rows[-1]["balance"] == 16

    middle = rows[6]["position"]
    part = run("ledger", "statement", "a", "--from", str(middle), "--to", str(middle), "-o", "json").rows
    assert [row["what"] for row in part] == ["opening", "refund", "closing"]
    assert (part[0]["balance"], part[-1]["balance"]) == (11, 13)
    late, early = str(rows[9]["at"]), str(rows[4]["at"])
    between = run("ledger", "statement", "a", "--from", early, "--to", late, "-o", "json").rows
    assert [row["what"] for row in between][1:-1] == ["charge", "charge", "refund", "expiry", "charge"]
    assert run("ledger", "statement", "a", "--from", late, "--to", early).code == ExitCode.USAGE


def test_a_statement_names_the_money_that_came_went_back_and_stayed(run: Run, keep: Keep) -> None:
    desk = FakeClockLedger()
    desk.open("a", 0)
    terms = ("five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
    desk.do(p.OrderPayment("p1", "a", "yookassa", *terms))
    desk.do(p.SettlePayment("p1", "a", "yookassa", "yk-1", 39_000, "RUB", "1", False))
    desk.do(p.IntendRefund("p1", "a", "r1", "yk-1", 19_500, "login:neurocards_operator", "asked"))
    desk.do(p.FailRefund("p1", "a", "r1", "insufficient_funds"))
    keep(desk.events)
    rows = run("ledger", "statement", "a", "-o", "json").rows
    assert [(row["what"], row["money"]) for row in rows] == [
        ("opening", None), ("grant", "390.00 RUB"), ("revocation", "195.00 RUB"), ("return", "195.00 RUB"),
        ("closing", None),
    ]  # fmt: skip
    assert "390.00 RUB" in run("ledger", "statement", "a").out


def test_the_books_of_all_and_of_each(run: Run, keep: Keep) -> None:
    desk = busy()
    desk.open("b", 3)
    keep(desk.events)
    rows = {row["account"]: row for row in run("ledger", "trial-balance", "-o", "json").rows}
    assert rows["user"] == {"account": "user", "debits": 42, "credits": 23, "balance": 19}
    assert rows["revoked:payment"]["balance"] == 15 and rows["expired:promo"]["balance"] == 2
    assert sum(row["balance"] for row in rows.values()) == 0
    each = {
        r["account"]: r["balance"] for r in run("ledger", "trial-balance", "--accounts", "-o", "json").rows
    }
    assert (each["user:a"], each["user:b"]) == (16, 3)
    table = run("ledger", "trial-balance", "--at", "3")
    assert "user (1 users)" in table.out and table.out.splitlines()[-2].split()[-1] == "0"


def test_the_journal_is_picked_by_what_is_asked(run: Run, keep: Keep) -> None:
    desk = busy()
    desk.open("b", 3)
    desk.order("b", "o9", "j9")
    keep(desk.events)

    def positions(*words: str) -> list[int]:
        return [row["position"] for row in run("ledger", "journal", *words, "-o", "jsonl").rows]

    by = {
        ("--user", "b"): [e.position for e in desk.events if e.stream in ("account-b", "job-j9")],
        ("--type", "JobQueued", "--type", "JobFailed"): [
            e.position for e in desk.events if e.type in ("JobQueued", "JobFailed")
        ],
        ("--job", "j1"): [e.position for e in desk.events if e.stream == "job-j1" or '"j1"' in e.data],
        ("--payment", "pay-1"): [e.position for e in desk.events if '"pay-1"' in e.data],
        ("--from", "3", "--to", "5"): [3, 4, 5],
        ("--limit", "2"): [1, 2],
        ("--limit", "2", "--newest"): [len(desk.events) - 1, len(desk.events)],
        ("--user", "a", "--job", "j9"): [],
        ("--job", "j1", "--type", "CreditsRefunded"): [
            e.position for e in desk.events if '"j1"' in e.data and e.type == "CreditsRefunded"
        ],
    }  # fmt: skip
    for words, expected in by.items():
        assert positions(*words) == expected, words
    assert "more than 2" in run("ledger", "journal", "--limit", "2").err
    rows = run("ledger", "journal", "--job", "j1", "-o", "jsonl").rows
    assert {(row["account"], row["job"]) for row in rows} == {("a", "j1")}
    first = run("ledger", "journal", "--limit", "1", "-o", "jsonl").rows[0]
    assert (first["at"], first["hash"]) == (iso(desk.events[0].recorded_at_us), desk.events[0].hash.hex())


def test_a_chain_from_the_payment_to_the_message(run: Run, keep: Keep, database_url: str) -> None:
    desk = story()
    keep(desk.events)
    owed = desk.events[-2]

    async def deliver() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(
            "INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, state,"
            " attempts, message_id, owed_at, settled_at) VALUES ('j1', 'failure', $1, 'a', 'o1', 1, 1, 'ru',"
            " 'sent', 1, 77, audit.to_time($2), audit.to_time($2 + 1500000))",
            owed.position, owed.recorded_at_us,
        )  # fmt: skip
        await connection.close()

    asyncio.run(deliver())
    stages = [
        "payment", "grant", "charge", "order", "attempt", "attempt", "attempt", "task", "failure", "refund",
        "message",
    ]  # fmt: skip
    charge = next(e.position for e in desk.events if e.type == "CreditsCharged")
    granted = next(e.position for e in desk.events if e.type == "CreditsGranted")
    for name, kind in (("j1", "job"), ("o1", "order"), ("pay-1", "payment"), (str(charge), "charge"),
                       (str(granted), "grant"), (str(owed.position), "job")):  # fmt: skip
        done = run("ledger", "explain", name, "-o", "json")
        assert [row["stage"] for row in done.rows] == stages, name
        assert done.err.startswith(f"{kind} "), name
        assert [row["gap_s"] for row in done.rows[-2:]] == [0.0, 1.5]
        assert done.rows[-1]["what"].endswith("message 77")
    table = run("ledger", "explain", "j1")
    assert "+1.5 s" in table.out and clock(owed.recorded_at_us) in table.out


def test_an_expiry_and_a_revocation_are_explained(run: Run, keep: Keep) -> None:
    desk = busy()
    keep(desk.events)
    by_type = {e.type: e.position for e in desk.events}
    expiry = run("ledger", "explain", str(by_type["CreditsExpired"]), "-o", "json").rows
    assert [row["type"] for row in expiry] == ["CreditsGranted", "CreditsExpired"]
    revoked = run("ledger", "explain", str(by_type["CreditsRevoked"]), "-o", "json").rows
    assert [row["stage"] for row in revoked][-2:] == ["payment", "revocation"]
    assert {"pay-1"} <= {row["payment"] for row in revoked}
    opened = run("ledger", "explain", "1", "-o", "json")
    assert [row["type"] for row in opened.rows] == ["AccountOpened"]


def test_an_unknown_event_type_is_said_and_never_skipped(run: Run, keep: Keep) -> None:
    desk = busy()
    last = desk.events[-1]
    strange = Recorded(
        0, account_stream("a"), last.version + 1, "CreditsTeleported", '{"job":"j1","amount":5}',
        None, None, None, None, last.recorded_at_us, b"",
    )  # fmt: skip
    keep(rehashed([*desk.events, strange]))
    for words in (*COMMANDS[:-1], ("explain", str(len(desk.events) + 1))):
        done = run("ledger", *words)
        assert (done.code, done.out) == (ExitCode.FAILURE, ""), words
        assert "'CreditsTeleported'" in done.err and str(len(desk.events) + 1) in done.err


def test_without_tables_the_person_is_told_to_migrate(run: Run, empty_database_url: str) -> None:
    for words in COMMANDS:
        done = run("ledger", *words, DATABASE_URL=empty_database_url)
        assert done.code == ExitCode.FAILURE and "neurocards migrate" in done.err, words
