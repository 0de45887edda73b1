"""A real log with events of all kinds, and ways to damage it as only a superuser can."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from msgspec.structs import replace

from events.codec import EVENT_TYPES
from events.envelope import GENESIS, Cursor, Recorded
from events.job import Failure, Video
from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.checkpoints.checkpoint import rotate
from ledger.checkpoints.signed_note import PublicKey, new_key
from ledger.decider import fold, initial
from ledger.log.hash_chain import event_hash
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from ledger.log.snapshots import FORMAT, Snapshot
from ledger.payments import commands as p
from ledger.promotions import commands as g
from ledger.sql import load_queries
from ledger.system import commands as s
from projections.checkpoints import make_checkpoint
from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.verify import schema_drift
from projections.verify.findings import Problem
from projections.verify.run import Report, verify_on
from tests.integration.ledger.conftest import buy, order

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

query = load_queries("ledger.log")

KEY = new_key("neurocards/tampering")
NEW_KEY = new_key("neurocards/tampering")
OTHER_KEY = new_key("neurocards/tampering")
_TERMS = (False, None, "5 videos", "ru")
"""Of orders: no test, credits for ever, the receipt's line, the locale."""
VIDEO_BYTES = b"v" * 1234
VIDEO = Video("videos/v.mp4", sha256(VIDEO_BYTES).hexdigest(), len(VIDEO_BYTES))
BUSY = Failure("transient", "500")
UNGUARD = "ALTER TABLE events DISABLE TRIGGER ALL; ALTER TABLE checkpoints DISABLE TRIGGER ALL;"
LOG = """SELECT position, stream, version, type, data::text AS data, key, body_hash, command_events, writer,
recorded_at_us, hash FROM events ORDER BY position"""
_NOTIFIED = """UPDATE cursors SET (position, hash) = (SELECT position, hash FROM events
ORDER BY position DESC LIMIT 1) WHERE name = 'notifier'"""
OWED = """
INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, refunded, blob,
                        size_bytes, owed_at, state)
SELECT substr(e.stream, strpos(e.stream, '-') + 1),
       CASE e.type WHEN 'JobSucceeded' THEN 'video' WHEN 'VideoGifted' THEN 'gift'
                   WHEN 'JobFailed' THEN 'failure' ELSE 'paid' END,
       e.position, first.data ->> 'account', 'o', 1, 1, 'ru',
       CASE e.type WHEN 'JobFailed' THEN (first.data ->> 'price')::bigint ELSE 0 END,
       coalesce(e.data -> 'video' ->> 'blob', ''), coalesce((e.data -> 'video' ->> 'size_bytes')::bigint, 0),
       timestamptz 'epoch', 'sent'
FROM events e JOIN events first ON first.stream = e.stream AND first.version = 1
WHERE e.type IN ('JobSucceeded', 'VideoGifted', 'JobFailed', 'PaymentSucceeded')
UNION ALL
SELECT substr(data ->> 'reference', 10), 'referral', position, substr(stream, 9), '', 1, 1, 'ru',
       (data ->> 'amount')::bigint, '', 0, timestamptz 'epoch', 'sent'
FROM events WHERE type = 'CreditsGranted' AND data ->> 'kind' = 'referral' AND stream = 'account-a'
"""
"""Deliveries as the notifier writes them of this log."""
_SLEEP_UNTIL = "SELECT pg_sleep(greatest($1::float8 - extract(epoch FROM clock_timestamp())::float8, 0))"


async def write_log(url: str) -> None:
    """Some 60 events of every kind, a checkpoint in the middle and at the end, projections at the end."""
    async with asyncpg.create_pool(url, min_size=1, max_size=4) as pool:
        async with Ledger(url, pool) as ledger:
            await _live(ledger, pool)
            await project(pool)
            assert await make_checkpoint(ledger, KEY, program="0.1.0") is not None
            await _go_on(ledger)
            await project(pool)
            newer = rotate(KEY, NEW_KEY, "login:neurocards_operator", "why")
            await ledger.execute(s.RotateKey(newer), key="rotated")
            assert await make_checkpoint(ledger, NEW_KEY, KEY, program="0.1.0") is not None
        await project(pool)
        await pool.execute(_NOTIFIED)
        kinds = {row[0] for row in await pool.fetch("SELECT DISTINCT type FROM events")}
        assert kinds == EVENT_TYPES.keys()
        await _keep_states(LogReader(pool), pool)


async def _keep_states(reader: LogReader, pool: Any) -> None:
    """Cached states of both accounts as they were a little while ago, as the appender keeps them."""
    for stream in ("account-a", "account-b"):
        *events, _, _ = await reader.stream(stream)
        state = initial(stream)
        for event in events:
            state = fold(state, event.type, event.data)
        assert isinstance(state, AccountState)
        made = Snapshot(stream, event.version, event.position, event.hash, state)
        await pool.execute(
            "INSERT INTO snapshots (stream, version, position, hash, format, state) "
            "VALUES ($1, $2, $3, $4, $5, $6::text::json)",
            stream, made.version, made.position, made.hash, FORMAT, made.sealed.decode(),
        )  # fmt: skip


async def project(pool: Any) -> None:
    """Bring every projection to the head."""
    for projection in PROJECTIONS.values():
        runner, reader = Runner(pool, projection), LogReader(pool)
        cursor = await runner.cursor()
        while events := await reader.events_after(cursor.position):
            cursor = await runner.apply(events)


async def _live(ledger: Ledger, pool: Any) -> None:
    for account in ("a", "b"):
        await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
        await ledger.execute(c.AcceptTerms(account, "1", 2), key=f"terms:{account}:1")
    ends_us = int(await pool.fetchval(query("clock"))) + 600_000
    await ledger.execute(c.GrantCredits("a", 8, "manual", "code", None, ends_us), key="code:a")
    await buy(ledger, "a", 10, "payment-1")
    await ledger.execute(order("a", "o1", "j1", "j2", "j3", price=2), key="order:o1")
    await _pay(ledger)
    await _give(ledger)
    await _submit(ledger, "j1")
    await ledger.execute(c.SucceedJob("j1", 1, 1, VIDEO), key="succeed:j1")
    await pool.execute(_SLEEP_UNTIL, ends_us / 1e6)
    await ledger.execute(c.FailJob("j2", "a", "operator", BUSY), key="fail:j2")
    await _submit(ledger, "j3")
    retry_us = int(await pool.fetchval(query("clock")))
    await ledger.execute(c.FailSubmission("j3", "a", 1, 1, BUSY, retry_us), key="busy:j3")
    await ledger.execute(c.IntendSubmission("j3", 1, 2, "key-1", "m"), key="intend:j3:2")
    await ledger.execute(c.RecordAccepted("j3", 2, "task-3"), key="accept:j3:2")
    await ledger.execute(c.FailJob("j3", "a", "operator", BUSY), key="fail:j3")


async def _go_on(ledger: Ledger) -> None:
    await ledger.execute(c.SucceedJob("j3", 1, 2, VIDEO), key="succeed:j3")
    await _correct(ledger)
    system: tuple[c.Command, ...] = (
        s.RecordStart("worker", "0.1.0", "", "0" * 64),
        s.PauseSales("login:neurocards_operator", "dear"),
        s.ResumeSales("login:neurocards_operator", "cheap"),
        s.CheckDayCap("cost", 20_786, 5, 6),
    )
    for number, command in enumerate(system):
        await ledger.execute(command, key=f"system:{number}")
    await ledger.execute(c.RevokeCredits("b", 5, "chargeback", kind="fraud"), key="revoke:b")
    changes: tuple[c.Command, ...] = (
        c.ProposeChange("b", "c1", "grant", 20, "sorry", "user:u1"),
        c.ApproveChange("b", "c1", "yes", "user:u2"),
        c.ProposeChange("b", "c2", "grant", 1, "again", "user:u1"),
        c.WithdrawChange("b", "c2", "no", "user:u1"),
    )
    for number, change in enumerate(changes):
        await ledger.execute(change, key=f"change:{number}")
    await ledger.execute(order("b", "o2", "j4", "j5", "j7", "j8", "j9"), key="order:o2")
    for job in ("j7", "j8"):
        await _submit(ledger, job)
    await ledger.execute(c.FailSubmission("j7", "b", 1, 1, BUSY), key="fail:j7")
    await ledger.execute(c.StartJob("j4", 1, "w1"), key="start:j4:1")
    await ledger.execute(c.HandBackJob("j4", 1), key="handback:j4:1")
    await ledger.execute(order("a", "o3", "j6"), key="order:o3")
    await ledger.execute(c.FailJob("j6", "a", "operator", BUSY), key="fail:j6")
    await ledger.execute(c.RateVideo("j1", "a", 5), key="rate:j1")
    await ledger.execute(c.ForgetAccount("a", "asked", "login:neurocards_operator"), key="forget:a")
    await ledger.execute(c.StartJob("j5", 1, "w1"), key="start:j5:1")
    await ledger.execute(c.DropDeadLetter("j7", "seen", "login:neurocards_operator"), key="drop:j7")
    await ledger.execute(
        c.RequeueJob("j7", "b", "j10", 0, "m", 900, "mended", "login:neurocards_operator"), key="requeue:j7"
    )
    await ledger.execute(c.ReissueJob("j10", 1), key="reissue:j10:1")


async def _correct(ledger: Ledger) -> None:
    """A clock is half a minute ahead for one event."""
    await ledger.read.pool.execute(turned_clock(30))
    await ledger.execute(c.OpenAccount("d", "0" * 64), key="open:d")
    await ledger.read.pool.execute(turned_clock(0))
    true_us = await ledger.read.pool.fetchval(query("clock"))
    assert (
        await ledger.read.pool.fetchval("SELECT outcome FROM ledger.correct_clock($1, 'x')", true_us)
        == "later"
    )


def turned_clock(seconds: float) -> str:
    """Statement that turns the database's clock; by 0 it is the migration's, which `verify` insists on."""
    return (
        "CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE RETURN "
        "(extract(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::bigint"
        + (f" + {round(seconds * 1e6)}" if seconds else "")
    )


async def _pay(ledger: Ledger) -> None:
    """Of one payment everything comes and half goes back, one is flagged, one given up, one cancelled."""
    for payment in ("p1", "p2", "p3", "p4"):
        await pay(ledger, p.OrderPayment(payment, "b", "yookassa", "five", 5, 39_000, "RUB", "1", *_TERMS))
    for payment in ("p1", "p2", "p4"):
        await pay(ledger, p.RecordPaymentCreated(payment, f"yk-{payment}"))
    await pay(ledger, p.SettlePayment("p1", "b", "yookassa", "yk-p1", 39_000, "RUB", "1", False))
    await pay(ledger, p.SettlePayment("p2", "b", "yookassa", "yk-p2", 100, "RUB", "1", False))
    await pay(ledger, p.ExpirePayment("p3", "unpaid"))
    await pay(ledger, p.CancelPayment("p4", "yk-p4", "card_expired", "yoo_money"))
    for refund in ("r1", "r2"):
        await pay(
            ledger, p.IntendRefund("p1", "b", refund, "yk-p1", 19_500, "login:neurocards_operator", "asked")
        )
    await pay(ledger, p.FailRefund("p1", "b", "r1", "insufficient_funds"))
    await pay(ledger, p.RecordRefund("p1", "b", "yookassa", "yk-p1", "yr-2", 19_500, "r2"))


async def _give(ledger: Ledger) -> None:
    """A code is used and disabled; `a` has invited `c`, who buys."""
    await ledger.execute(c.OpenAccount("c", "0" * 64, "referral", "a"), key="open:c")
    await buy(ledger, "c", 5, "payment-2")
    for command in (
        g.CreatePromo("SPRING", 3, 10, None, None, "login:neurocards_operator", "sale"),
        g.RedeemPromo("SPRING", "b"),
        g.DisablePromo("SPRING", "login:neurocards_operator", "over"),
        g.RewardInvitation("c", "a", 2, 1),
    ):
        await ledger.execute(command, key=g.key_of(command))


async def pay(ledger: Ledger, command: p.PaymentCommand) -> None:
    """Under the key that everybody uses."""
    await ledger.execute(command, key=p.key_of(command))


async def _submit(ledger: Ledger, job: str) -> None:
    await ledger.execute(c.StartJob(job, 1, "w1"), key=f"start:{job}:1")
    await ledger.execute(c.RecordPrompt(job, 1, "prompt", "openai", "ugc"), key=f"prompt:{job}:1")
    await ledger.execute(c.IntendSubmission(job, 1, 1, "key-1", "m"), key=f"intend:{job}:1")
    await ledger.execute(c.RecordAccepted(job, 1, f"task-{job}"), key=f"accept:{job}:1")


async def verified(
    connection: "Connection", *, after: Cursor = GENESIS, keys: Sequence[PublicKey] = ()
) -> Report:
    """Without how the tables are made: that takes longer than a small log, and here it is as we left it."""

    async def as_made(_: object) -> list[str]:
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema_drift, "differences", as_made)
        return await verify_on(connection, after=after, keys=keys)


class Damaged:
    """The log on a connection with every right, inside a transaction that the test's end rolls back."""

    def __init__(self, connection: "Connection", head: int) -> None:
        self.connection = connection
        self.head = head
        self._guarded = True

    async def sql(self, statement: str, *arguments: Any) -> None:
        """Do the damage; the guards are off."""
        await self._unguard()
        await self.connection.execute(statement, *arguments)

    async def rows(self) -> list[Recorded]:
        """The log as it stands."""
        rows = await self.connection.fetch(LOG)
        return [Recorded(*row) for row in rows]

    async def rewrite(self, after: int, change: Callable[[str, str], str]) -> None:
        """Change data of the rows after a position, and make every hash right again."""
        await self._unguard()
        previous = GENESIS.hash
        for row in await self.rows():
            data = change(row.type, row.data) if row.position > after else row.data
            previous = event_hash(previous, replace(row, data=data))
            await self.connection.execute(
                "UPDATE events SET data = $2::text::json, hash = $3 WHERE position = $1",
                row.position,
                data,
                previous,
            )

    async def _unguard(self) -> None:
        if self._guarded:
            await self.connection.execute(UNGUARD)
            self._guarded = False

    async def problems(self, *keys: PublicKey) -> list[Problem]:
        """What the verification finds, but for the guards, which are off."""
        report = await verified(self.connection, keys=keys)
        return [problem for problem in report.problems if problem.kind != "guard"]

    async def report(self, *keys: PublicKey) -> Report:
        """The whole of it."""
        return await verify_on(self.connection, keys=keys)

    async def chain_breaks(self) -> list[int]:
        """What the SQL view finds, with none of our code."""
        rows = await self.connection.fetch("SELECT position FROM audit.chain_breaks ORDER BY position")
        return [row["position"] for row in rows]
