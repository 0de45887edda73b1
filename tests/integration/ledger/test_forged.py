"""Events that contradict themselves or lack what belongs to them, from a login that may append each."""

from typing import Any

import asyncpg
import pytest

from ledger import commands as c
from ledger.payments import commands as p
from tests.integration.ledger.conftest import buy, order, rich
from tests.support.hand_made import ARGUMENTS, CALL, Made, append, arguments

ONE, THREE = ({"lot": 1, "amount": amount, "kind": "bonus"} for amount in (1, 3))
PARTS = [{"lot": 1, "amount": 2, "kind": "bonus"}]
TEXTS = [{"lot": 1, "amount": "2", "kind": "bonus"}]
TERMS = ("pack", 5, 500, "RUB", "1", False, None, "credits", "ru")


def charge(amount: Any = 2, job: str = "n1", account: str = "a", **more: Any) -> Made:
    data = {"job": job, "order": "n", "amount": amount, "parts": PARTS} | more
    return (f"account-{account}", "CreditsCharged", data)


def queued(price: Any = 2, job: str = "n1", account: str = "a", **more: Any) -> Made:
    data = {
        "account": account, "order": "n", "number": 1, "of": 1, "price": price, "model": "m", "style": "ugc",
        "photo": "p", "brief": "b", "locale": "ru", "deadline_at_us": 2_000_000_000_000_000,
    }  # fmt: skip
    return (f"job-{job}", "JobQueued", data | {"parts": PARTS} | more)


def failed(job: str = "j1") -> Made:
    return (f"job-{job}", "JobFailed", {"by": "operator", "failure": {"error_class": "transient"}})


def refund(amount: Any = 2, job: str = "j1", account: str = "a", **more: Any) -> Made:
    data = {"job": job, "amount": amount, "reason": "x", "parts": PARTS} | more
    return (f"account-{account}", "CreditsRefunded", data)


def grant(kind: str = "manual", amount: Any = 5, account: str = "a", **more: Any) -> Made:
    return (
        f"account-{account}",
        "CreditsGranted",
        {"amount": amount, "kind": kind, "reason": "x", "lot": 9} | more,
    )


def succeeded(credits: Any = 5, payment: str = "ordered") -> Made:
    return (f"payment-{payment}", "PaymentSucceeded", {
        "provider": "yookassa", "provider_payment": "yk-new", "amount_minor": 500, "currency": "RUB",
        "credits": credits, "lot": 9,
    })  # fmt: skip


def refund_failed(credits: int = 1, refund: str = "r1") -> Made:
    return ("payment-paid", "RefundFailed", {"refund": refund, "credits": credits, "reason": "x"})


def restored(amount: Any = 2, reference: str = "r1", account: str = "b", **more: Any) -> Made:
    return (
        f"account-{account}",
        "CreditsRestored",
        {"amount": amount, "reference": reference, "parts": PARTS} | more,
    )


def refunded(credits: int = 2) -> Made:
    return ("payment-paid", "PaymentRefunded", {
        "provider_payment": "yk-paid", "provider_refund": "yr-new", "amount_minor": 200, "currency": "RUB",
        "credits": credits,
    })  # fmt: skip


def revoked(amount: Any = 2, kind: str = "payment", account: str = "b", **more: Any) -> Made:
    data = {"amount": amount, "reason": "x", "reference": "yk-paid", "kind": kind, "parts": PARTS} | more
    return (f"account-{account}", "CreditsRevoked", data)


@pytest.fixture
async def world(ledger):
    """`a` has credits and an open job `j1` of 2; `b` has paid, has a refund `r1` under way, and one order."""
    await rich(ledger, "a", 10)
    await rich(ledger, "b", 10)
    await ledger.execute(order("a", "o", "j1", price=2), key="order:o")
    await buy(ledger, "b", 5, "paid")
    for command in (
        p.IntendRefund("paid", "b", "r1", "yk-paid", 200, "login:neurocards_operator", "asked"),
        p.OrderPayment("ordered", "b", "yookassa", *TERMS),
    ):
        await ledger.execute(command, key=p.key_of(command))
    return ledger


WHOLE: dict[str, list[list[Made]]] = {
    "a charge with its job": [[charge(), queued()]],
    "a failure with its refund": [[failed(), refund()]],
    "a purchase with its payment": [[succeeded(), grant("purchase", account="b")]],
    "a refund that failed": [[refund_failed(2), restored()]],
    "money that went back": [[refunded(), revoked()]],
    "a gift by hand": [[grant()]],
}

FORGED: dict[str, list[list[Made]]] = {
    "a charge without its job": [[charge()]],
    "a job without its charge": [[queued()]],
    "a free job that is none again": [[queued(0, parts=[])]],
    "a job of a text's price": [[charge(), queued("2")]],
    "a charge in texts": [[charge("2", parts=TEXTS), queued("2", parts=TEXTS)]],
    "a charge of texts in its parts": [[charge(parts=TEXTS), queued(parts=TEXTS)]],
    "a charge of texts in several parts": [[charge(4, parts=TEXTS * 2), queued(4, parts=TEXTS * 2)]],
    "a refund of texts in its parts": [[failed(), refund(parts=TEXTS)]],
    "a purchase of a text's credits": [[succeeded("5"), grant("purchase", account="b")]],
    "a job without a price": [[charge(), queued(None)]],
    "less than the job's price": [[charge(), queued(3)]],
    "another account's job": [[charge(), queued(account="b")]],
    "another job": [[charge(), queued(job="n2")]],
    "a job that stands apart": [[charge()], [queued()]],
    "a job before its charge": [[queued(), charge()]],
    "something between them": [[charge(), grant(), queued()]],
    "two charges for one job": [[charge(), charge(), queued()]],
    "other parts in the job": [[charge(), queued(parts=[{"lot": 2, "amount": 2, "kind": "bonus"}])]],
    "a refund without a failure": [[refund()]],
    "a failure without a refund": [[failed()]],
    "a refund of more than the price": [[failed(), refund(3, parts=[THREE])]],
    "a refund of less than the price": [[failed(), refund(1, parts=[ONE])]],
    "a refund to another account": [[failed(), refund(account="b")]],
    "a refund of another job": [[failed(), refund(job="j9")]],
    "a refund in another command": [[failed()], [refund()]],
    "two refunds": [[failed(), refund(), refund()]],
    "a failure of a job that nobody queued, refunded": [[failed("j9"), refund(job="j9")]],
    "a purchase without a payment": [[grant("purchase", account="b")]],
    "a purchase of more than was paid": [[succeeded(), grant("purchase", 6, account="b")]],
    "a purchase of another account's": [[succeeded(), grant("purchase", account="a")]],
    "a purchase that nobody ordered": [[succeeded(payment="none"), grant("purchase", account="b")]],
    "a purchase in another command": [[succeeded()], [grant("purchase", account="b")]],
    "credits of no failed refund": [[restored()]],
    "credits of another refund": [[refund_failed(2, "r2"), restored()]],
    "more credits than the refund took": [[refund_failed(1), restored()]],
    "another account's refund": [[refund_failed(2), restored(account="a")]],
    "taken back for no money": [[revoked()]],
    "more taken back than went back": [[refunded(1), revoked()]],
    "another account's money": [[refunded(), revoked(account="a")]],
    "a code's gift without the code": [[grant("promo")]],
    "an invitation's gift without one": [[grant("referral")]],
    "a welcome without terms": [[grant("bonus")]],
    "parts that are not all": [[failed(), refund(parts=[{"lot": 1, "amount": 1, "kind": "bonus"}])]],
    "parts that are more": [[charge(parts=[*PARTS, *PARTS]), queued(parts=[*PARTS, *PARTS])]],
    "no parts": [[charge(parts=[]), queued(parts=[])]],
    "parts below zero": [[failed(), refund(parts=[{"lot": 1, "amount": -1, "kind": "bonus"},
                                                  {"lot": 1, "amount": 3, "kind": "bonus"}])]],
    "restored parts that are not all": [[refund_failed(2), restored(parts=[])]],
    "settled below zero": [[grant(settled=-1)]],
    "settled as text": [[grant(settled="1")]],
    "settled more than there is": [[grant(settled=6)]],
    "a debt carried over that leaves credits": [[grant("carried", settled=4)]],
    "a debt carried over that settles nothing": [[grant("carried")]],
    "revoked parts of more than it is": [[revoked(1, "manual")]],
}  # fmt: skip
FORGED |= {
    f"{amount!r} credits {name}": [[made(amount)]]
    for amount in (0, -5, "5", 1.5, 1e3, 10**9, None, True, [5])
    for name, made in (
        ("granted", lambda amount: grant(amount=amount)),
        ("revoked", lambda amount: revoked(amount, "manual", parts=[])),
        ("expired", lambda amount: ("account-a", "CreditsExpired", {
            "lot": 1, "amount": amount, "kind": "bonus", "due_at_us": 1})),
    )
}  # fmt: skip

REFUSED = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.InvalidTextRepresentationError,
    asyncpg.NumericValueOutOfRangeError,
)


@pytest.mark.parametrize("name", WHOLE)
async def test_what_belongs_together_passes(world, owner, name: str):
    assert (await append(owner, *WHOLE[name]))["outcome"] == "ok"
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []


async def test_what_contradicts_itself_or_lacks_its_part_is_refused(world, owner):
    before = await owner.fetchrow("SELECT count(*), max(position) FROM events")
    passed = []
    for name, commands in FORGED.items():
        try:
            passed.append((name, (await append(owner, *commands))["outcome"]))
        except REFUSED:
            continue
    assert passed == []
    assert await owner.fetchrow("SELECT count(*), max(position) FROM events") == before
    assert [job.job for job in await world.read.open_jobs()] == ["j1"]
    await world.execute(c.GrantCredits("a", 1, "manual", "x"), key="and the lock is free")


async def test_a_refund_in_a_later_call_is_one_too_many(world, owner):
    assert (await append(owner, [failed(), refund()]))["outcome"] == "ok"
    for again in ([refund()], [failed(), refund()]):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await append(owner, again)


OPENED: Made = ("account-z", "AccountOpened", {})
STEPS: list[Made] = [OPENED, ("account-z", "TermsAccepted", {})]


@pytest.mark.parametrize("versions", [[1], [-1], [2], [None], [0, 0], [0, 1], [1, 0]], ids=str)
async def test_versions_go_on_from_what_stands_without_a_gap(owner, versions: list[int]):
    streams = "\x1f".join(["account-z"] * len(versions))
    try:
        answer = await append(
            owner, STEPS, p_streams=streams, p_versions=versions, p_places=[1, len(versions)]
        )
    except REFUSED:
        pass
    else:
        assert answer["outcome"] == "stale"
    assert await owner.fetchval("SELECT count(*) FROM events") == 0


MALFORMED: dict[str, dict[str, Any]] = {
    "too many events": {"p_places": [1] * 4097, "p_counts": [4097],
                        "p_types": "\x1f".join(["TermsAccepted"] * 4097),
                        "p_data": "\x1f".join(["{}"] * 4097)},
    "too many bytes": {"p_data": '{"terms":"' + "x" * 8_388_608 + '"}\x1f{}'},
    "too many commands": {"p_keys": "\x1f".join(map(str, range(4097))), "p_bodies": bytes(32) * 4097,
                          "p_counts": [2] + [0] * 4096},
    "too many streams read": {"p_streams": "\x1f".join(map(str, range(16_385))),
                              "p_versions": [0] * 16_385},
    "too many cursors": {"p_cursors": [1] * 9, "p_cursor_hashes": [b""] * 9},
    "a type too few": {"p_types": "AccountOpened"},
    "a version too many": {"p_versions": [0, 0]},
    "a place too many": {"p_places": [1, 1, 1]},
    "a place of no stream": {"p_places": [1, 2]},
    "a place before the first": {"p_places": [0, 1]},
    "a place that is none": {"p_places": [1, None]},
    "places of another shape": {"p_places": [[1, 1]]},
    "counts of another shape": {"p_keys": "a\x1fb", "p_bodies": bytes(64), "p_counts": [[1, 1]]},
    "data too few": {"p_data": "{}"},
    "a stream without its version": {"p_streams": "account-z\x1fa"},
    "half a body": {"p_bodies": bytes(16)},
    "no body": {"p_bodies": b""},
    "no key": {"p_keys": "", "p_bodies": b"", "p_counts": []},
    "fewer events than counted": {"p_counts": [3]},
    "more events than counted": {"p_counts": [1]},
    "counts below zero": {"p_keys": "a\x1fb", "p_bodies": bytes(64), "p_counts": [3, -1]},
    "data that is none": {"p_data": "{}\x1f{"},
    "data that cannot be read": {"p_data": '{}\x1f{"a":"\\u0000"}'},
    "a key twice": {"p_keys": "a\x1fa", "p_bodies": bytes(64), "p_counts": [1, 1]},
    "no stream": {"p_streams": ""},
    "a stream of too many letters": {"p_streams": "account-" + "x" * 193},
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_batch_that_is_none_is_refused(owner, name: str):
    said = name.startswith(("a place", "counts"))  # or others would refuse it, for what it is not
    with pytest.raises(asyncpg.InvalidParameterValueError if said else asyncpg.PostgresError):
        await append(owner, STEPS, **MALFORMED[name])
    assert await owner.fetchval("SELECT count(*) FROM events") == 0


@pytest.mark.parametrize("name", [name for name in ARGUMENTS if name not in ("p_wall_us", "p_witness_us")])
@pytest.mark.parametrize("after", [0, 1], ids=["first", "later"])
async def test_what_is_not_said_is_refused(owner, name: str, after: int):
    if after:
        assert (await append(owner, [("account-y", "AccountOpened", {})]))["outcome"] == "ok"
    values = await arguments(owner, STEPS, **{name: None})
    try:
        answer = await owner.fetchrow(CALL, *values.values())
    except asyncpg.DataError:
        pass
    else:
        assert answer["outcome"] != "ok" or name == "p_cursor_hashes"  # of no cursors
    if name != "p_cursor_hashes":
        assert await owner.fetchval("SELECT count(*) FROM events") == after
