"""Every class of command, in one batch with a stranger's, against a long account without a snapshot.

Whatever a command reads, writes or leaves alone: each caller's answer is what stands in the log.
"""

import asyncio
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING

import asyncpg
import pytest

from events.account import ChangeKind
from events.job import Failure, Video
from events.payment import PaymentOrdered
from events.system import KeyRotated, LogStated, Predecessor
from ledger import commands as c
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.payments import commands as p
from ledger.promotions import commands as g
from ledger.sql import load_queries
from ledger.system import commands as s
from tests.integration.ledger.conftest import order, rich
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

query = load_queries("ledger.log")

EVENTS = 1200
FAILED = Failure("transient")
Case = tuple[list[c.Command], c.Command]
"""What has to be executed before, and the command itself; all of them about account `a`."""


def queued(job: str) -> list[c.Command]:
    return [order("a", job, job)]


def prompted(job: str) -> list[c.Command]:
    return [*queued(job), c.StartJob(job, 1, "w"), c.RecordPrompt(job, 1, "ref", "openai", "t")]


def intended(job: str) -> list[c.Command]:
    return [*prompted(job), c.IntendSubmission(job, 1, 1, "k1", "m")]


def accepted(job: str) -> list[c.Command]:
    return [*intended(job), c.RecordAccepted(job, 1, "task")]


def failed(job: str) -> list[c.Command]:
    return [*queued(job), c.FailJob(job, "a", "operator", FAILED)]


def ordered(payment: str, account: str = "a") -> list[c.Command]:
    return [
        p.OrderPayment(payment, account, "yookassa", "pack", 10, 1000, "RUB", "s", True, None, "line", "ru")
    ]


def settled(payment: str, account: str = "a", amount_minor: int = 1000) -> p.SettlePayment:
    return p.SettlePayment(payment, account, "yookassa", f"yk-{payment}", amount_minor, "RUB", "s", test=True)


def paid(payment: str, account: str = "a") -> list[c.Command]:
    return [*ordered(payment, account), settled(payment, account)]


def refunding(payment: str) -> list[c.Command]:
    return [
        *paid(payment),
        p.IntendRefund(
            payment, "a", f"r-{payment}", f"yk-{payment}", 500, "login:neurocards_operator", "asked"
        ),
    ]


def retry(job: str) -> c.FailSubmission:
    return c.FailSubmission(job, "a", 1, 1, FAILED, retry_at_us=1)


def requeue(job: str, price: int) -> c.RequeueJob:
    return c.RequeueJob(job, "a", f"{job}-again", price, "m", 900, "asked", "login:neurocards_operator")


def refunded(payment: str, refund: str = "") -> p.RecordRefund:
    return p.RecordRefund(payment, "a", "yookassa", f"yk-{payment}", f"yr-{payment}", 500, refund)


def invited(account: str) -> list[c.Command]:
    """By `a`, and has bought something."""
    opened: list[c.Command] = [
        c.OpenAccount(account, "0" * 64, invited_by="a"),
        c.AcceptTerms(account, "1", 0),
    ]
    return [*opened, *paid(f"by-{account}", account)]


def code(name: str) -> list[c.Command]:
    return [g.CreatePromo(name, 1, 5, None, None, "login:neurocards_operator", "why")]


RESTORED = PaymentOrdered("a", "yookassa", "pack", 10, 1000, "RUB", "s", True, None, "line", "ru")

STATED = s.StateLog(LogStated(f"log+0123abcd+{'A' * 44}", "0.1.0", (), None, Predecessor("log", 1, "", "")))


def proposal(change: str, what: ChangeKind = "grant") -> c.ProposeChange:
    return c.ProposeChange("a", change, what, 3, "x", "user:u1")


CASES: dict[type, Callable[[], list[Case]]] = {
    c.OpenAccount: lambda: [
        ([], c.OpenAccount("a", "0" * 64)),
        ([], c.OpenAccount("n", "0" * 64, invited_by="a")),
    ],
    c.AcceptTerms: lambda: [([], c.AcceptTerms("a", "2", 0))],
    c.GrantCredits: lambda: [([], c.GrantCredits("a", 3, "manual", "x"))],
    c.RevokeCredits: lambda: [([], c.RevokeCredits("a", 3, "x"))],
    c.ExpireCredits: lambda: [([], c.ExpireCredits("a"))],
    c.ProposeChange: lambda: [([], proposal("c1"))],
    c.ApproveChange: lambda: [
        ([proposal("c2")], c.ApproveChange("a", "c2", "y", "user:u2")),
        ([proposal("c3", "revoke")], c.ApproveChange("a", "c3", "y", "user:u1")),
    ],
    c.WithdrawChange: lambda: [([proposal("c4")], c.WithdrawChange("a", "c4", "y", "user:u1"))],
    c.OrderVideos: lambda: [([], order("a", "ov", "ov1", "ov2"))],
    c.StartJob: lambda: [(queued("sj"), c.StartJob("sj", 1, "w"))],
    c.RecordPrompt: lambda: [(prompted("rp")[:-1], c.RecordPrompt("rp", 1, "ref", "openai", "t"))],
    c.IntendSubmission: lambda: [(prompted("is"), c.IntendSubmission("is", 1, 1, "k1", "m"))],
    c.RecordAccepted: lambda: [(intended("ra"), c.RecordAccepted("ra", 1, "task"))],
    c.FailSubmission: lambda: [
        (intended("fs1"), retry("fs1")),
        (intended("fs2"), c.FailSubmission("fs2", "a", 1, 1, FAILED)),
    ],
    c.HandBackJob: lambda: [(prompted("hb"), c.HandBackJob("hb", 1))],
    c.SucceedJob: lambda: [(accepted("su"), c.SucceedJob("su", 1, 1, Video("b", "0" * 64, 1)))],
    c.RateVideo: lambda: [
        (
            [*accepted("rv"), c.SucceedJob("rv", 1, 1, Video("b", "0" * 64, 1))],
            c.RateVideo("rv", "a", 4),
        )
    ],
    c.FailJob: lambda: [(queued("fj"), c.FailJob("fj", "a", "operator", FAILED))],
    c.ReissueJob: lambda: [(queued("rj"), c.ReissueJob("rj", 1))],
    c.RequeueJob: lambda: [(failed("rq1"), requeue("rq1", 0)), (failed("rq2"), requeue("rq2", 1))],
    c.DropDeadLetter: lambda: [(failed("dd"), c.DropDeadLetter("dd", "why", "login:neurocards_operator"))],
    p.OrderPayment: lambda: [([], ordered("op")[0])],
    p.RecordPaymentCreated: lambda: [(ordered("pc"), p.RecordPaymentCreated("pc", "yk-pc"))],
    p.SettlePayment: lambda: [
        (ordered("sp1"), settled("sp1")),
        (ordered("sp2"), settled("sp2", amount_minor=7)),  # flagged
        ([], p.SettlePayment("sp3", "a", "yookassa", "yk-sp3", 7, "RUB", "s", test=True, ordered=RESTORED)),
    ],
    p.AcceptPayment: lambda: [
        (
            [*ordered("ap"), settled("ap", amount_minor=7)],
            p.AcceptPayment("ap", "a", "yk-ap", 5, "login:neurocards_operator", "paid short"),
        )
    ],
    p.CancelPayment: lambda: [(ordered("cp"), p.CancelPayment("cp", "yk-cp", "expired", "yookassa"))],
    p.ExpirePayment: lambda: [(ordered("ep"), p.ExpirePayment("ep", "late"))],
    p.IntendRefund: lambda: [(refunding("ir")[:-1], refunding("ir")[-1])],
    p.FailRefund: lambda: [(refunding("fr"), p.FailRefund("fr", "a", "r-fr", "no_money"))],
    p.RecordRefund: lambda: [
        (refunding("rr1"), refunded("rr1", "r-rr1")),
        (paid("rr2"), refunded("rr2")),
    ],
    g.CreatePromo: lambda: [([], code("CREATED")[0])],
    s.RecordStart: lambda: [([], s.RecordStart("worker", "0.1.0", "9f" * 20, "0" * 64))],
    s.PauseSales: lambda: [([], s.PauseSales("login:neurocards_operator", "why"))],
    s.ResumeSales: lambda: [
        (
            [s.PauseSales("login:neurocards_operator", "why")],
            s.ResumeSales("login:neurocards_operator", "why"),
        )
    ],
    s.CheckDayCap: lambda: [([], s.CheckDayCap("cost", 20_786, 5, 6))],
    s.StateLog: lambda: [([], STATED)],
    s.RotateKey: lambda: [
        (
            [STATED],
            s.RotateKey(
                KeyRotated(
                    STATED.told.key, f"log+0123abcd+{'B' * 44}", "", "login:neurocards_operator", "why"
                )
            ),
        )
    ],
    g.DisablePromo: lambda: [
        (code("DISABLED"), g.DisablePromo("DISABLED", "login:neurocards_operator", "why"))
    ],
    g.RedeemPromo: lambda: [(code("REDEEMED"), g.RedeemPromo("REDEEMED", "a"))],
    g.RewardInvitation: lambda: [
        (invited("ri1"), g.RewardInvitation("ri1", "a", 1, 1)),
        (invited("ri2"), g.RewardInvitation("ri2", "a", 1, 0)),
    ],
    c.ForgetAccount: lambda: [
        ([], c.ForgetAccount("a", "asked", "login:neurocards_operator"))
    ],  # the last: nothing goes after it
}


def test_every_class_of_command_has_its_cases() -> None:
    assert set(CASES) == set(typing.get_args(c.Command))
    assert all(type(command) is cls for cls, cases in CASES.items() for _, command in cases())


async def long_account(ledger: Ledger) -> None:
    """Account `a` with EVENTS events, a lot whose life is over, and a stranger."""
    await rich(ledger, "a", EVENTS * 2)
    await rich(ledger, "b")
    at_once = 40
    orders = [order("a", f"o{n}", *[f"o{n}-{m}" for m in range(at_once)]) for n in range(EVENTS // at_once)]
    await asyncio.gather(*[ledger.execute(one, key=f"order:{one.order}") for one in orders])
    assert len(await ledger.read.stream("account-a")) >= EVENTS


async def stored(owner: "Connection", key: str) -> Receipt:
    """What the log says of a key."""
    row = await owner.fetchrow(
        "SELECT position, command_events, recorded_at_us FROM events WHERE key = $1", key
    )
    return Receipt(*row) if row else Receipt(0, 0, 0)


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
async def test_each_answer_is_what_stands_in_the_log(
    ledger: Ledger, owner: "Connection", pool, database_url: str, warm: bool
):
    await long_account(ledger)
    wrong: list[object] = []
    for cls, cases in CASES.items():
        for number, (before, command) in enumerate(cases()):
            key = f"{cls.__name__}:{number}"
            for step, earlier in enumerate(before):
                await ledger.execute(earlier, key=f"{key}:{step}")
            if cls is c.ExpireCredits:
                await outlived(ledger, owner)
            await owner.execute("DELETE FROM snapshots")
            async with Ledger(database_url, pool) as fresh:
                if warm:
                    await fresh.execute(c.OpenAccount("a", "0" * 64), key=f"{key}:warm")
                asked = ((command, key), (c.GrantCredits("b", 1, "manual", "x"), f"{key}:stranger"))
                answers = await asyncio.gather(
                    *[fresh.execute(one, key=name) for one, name in asked], return_exceptions=True
                )
            rows = [await stored(owner, name) for _, name in asked]
            if answers != rows or not rows[1].events:
                wrong.append((key, answers, rows))
            if not rows[0].events and command != c.OpenAccount("a", "0" * 64):
                wrong.append((key, "made nothing", rows))
    assert wrong == []
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def outlived(ledger: Ledger, owner: "Connection") -> None:
    """A lot of `a` whose life is over and that nobody has booked."""

    async def now_us() -> int:
        return int(await owner.fetchval(query("clock")))

    ends_at_us = await now_us() + 300_000
    await ledger.execute(c.GrantCredits("a", 1, "manual", "x", None, ends_at_us), key="outlived")

    async def over() -> bool:
        return await now_us() > ends_at_us

    await eventually(over)
