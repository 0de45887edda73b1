"""`neurocards payments`: what it shows, what it does, and how it ends."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from projections.engine.registry import PROJECTIONS
from projections.engine.runner import Runner
from projections.verify.run import check_ledger
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment

WHY = ("--reason", "sorry")


class Done(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    rows: list[dict[str, Any]]
    err: str


@pytest.fixture
def run(shop, tmp_path):
    """Runs `neurocards payments …` as a process of its own, without a terminal."""
    env = clean_environment(DATABASE_URL=shop.settings.database_url, SANDBOX_URL=shop.sandbox.url)

    async def one(*words: str) -> Done:
        done = await asyncio.to_thread(neurocards, ["payments", *words, "-o", "json"], cwd=tmp_path, env=env)
        return Done(done.returncode, json.loads(done.stdout or "[]"), done.stderr)

    return one


async def test_a_refund_is_shown_confirmed_and_made_once(shop, run):
    payment = await shop.paid()
    name = await shop.provider_payment(payment)
    shown = await run("refund", name, "--credits", "2", *WHY, "--dry-run")
    (plan,) = shown.rows
    assert (shown.code, plan["payment"], plan["amount_minor"], plan["balance_after"]) == (
        0,
        payment,
        15_600,
        3,
    )
    unconfirmed = await run("refund", payment, *WHY)
    assert unconfirmed.code == 2 and "--yes" in unconfirmed.err
    assert shop.book()["refunds"] == []
    refund = ("refund", payment, "--credits", "2", *WHY, "--yes", "--key", "ticket-7")
    for _ in range(2):
        assert (await run(*refund)).code == 0
    assert len(shop.book()["refunds"]) == 1
    (money,) = (await shop.credits_are_money()).values()
    assert (money.refunded_minor, money.revoked) == (15_600, 2)
    intended = await shop.pool.fetchval("SELECT data::text FROM events WHERE type = 'RefundIntended'")
    assert '"login:neurocards_operator"' in intended and '"ticket-7"' in intended


async def test_flagged_money_is_accepted_as_bought_and_can_go_back(shop, run):
    payment = await shop.pending()
    name = await shop.provider_payment(payment)
    shop.rewrite(name, amount={"value": "100.00", "currency": "RUB"})
    await shop.press(payment)
    assert (await shop.yookassa.check(payment)).standing == "flagged"
    shown = await run("accept", payment, "--credits", "2", *WHY, "--dry-run")
    (plan,) = shown.rows
    assert (shown.code, plan["differs"], plan["paid_minor"], plan["ordered_minor"]) == (
        0,
        "amount",
        10_000,
        39_000,
    )
    for _ in range(2):
        done = await run("accept", payment, "--credits", "2", *WHY, "--yes")
    assert done.code == 1 and "no flagged money" in done.err  # it is bought now
    state = await shop.ledger.read.account(plan["account"])
    assert [(lot.amount, lot.kind) for lot in state.lots] == [(2, "purchase")]
    granted = await shop.pool.fetchval("SELECT data::text FROM events WHERE type = 'CreditsGranted'")
    assert (
        '"paid":{"amount_minor":10000,"currency":"RUB"}' in granted
        and '"login:neurocards_operator"' in granted
    )
    assert await shop.pool.fetch("SELECT * FROM audit.unsettled_payments") == []
    refunds = await shop.refunds.plan(payment)
    assert (refunds.credits, refunds.amount_minor, refunds.lots) == (2, 10_000, {1: 2})
    assert (
        await shop.refunds.carry_out(refunds, actor="login:neurocards_operator", reason="sorry") == "refunded"
    )
    assert await shop.pool.fetch("SELECT * FROM audit.unsettled_payments") == []
    assert await check_ledger(shop.pool) == []


async def test_an_outcome_that_nobody_knows_is_partly_done(shop, run, sandbox):
    payment = await shop.paid()
    sandbox.fault("yookassa", "refund", "500_after")
    done = await run("refund", payment, *WHY, "--yes")
    assert done.code == 5 and "maintenance goes on" in done.err
    await shop.pool.execute("UPDATE payment_watch SET due_at = clock_timestamp()")
    await shop.watching.run_once()
    await shop.credits_are_money()


async def test_what_cannot_be_refunded(shop, run):
    pending = await shop.pending()
    assert (await run("refund", "0" * 24, *WHY, "--yes")).code == 4
    none = await run("refund", pending, *WHY, "--yes")
    assert none.code == 1 and "no money left" in none.err
    paid = await shop.paid()
    too_much = await run("refund", paid, "--credits", "6", *WHY, "--yes")
    assert too_much.code == 1 and "5 credits are left" in too_much.err
    assert (await run("refund", paid, *WHY, "--yes", "--key", "not a name")).code == 2


async def test_show_tells_what_happened(shop, run):
    payment = await shop.paid()
    done = await run("show", await shop.provider_payment(payment))
    assert [row["type"] for row in done.rows] == ["PaymentOrdered", "PaymentCreated", "PaymentSucceeded"]
    assert {row["payment"] for row in done.rows} == {payment}
    assert (await run("show", "nothing")).code == 4


async def test_reconcile_is_silent_or_says_what_is_left(shop, run):
    await shop.paid()
    same = await run("reconcile")
    assert (same.code, same.rows) == (0, [])
    assert "1 payments and 0 refunds compared; 0 differences" in same.err
    odd = await shop.paid()
    name = await shop.provider_payment(odd)
    shop.rewrite(name, paid="perhaps")
    unjudged = await run("reconcile")
    assert unjudged.code == 5 and "1 that could not be judged" in unjudged.err
    assert [(row["kind"], row["provider_payment"]) for row in unjudged.rows] == [("unjudged", name)]
    gone = await shop.paid()
    shop.sandbox.ctx.store.delete("yookassa_payment", await shop.provider_payment(gone))
    differs = await run("reconcile", "--days", "1")
    assert differs.code == 3
    assert ("extra", gone) in [(row["kind"], row["payment"]) for row in differs.rows]


async def test_reconcile_without_the_provider(shop, run, sandbox):
    sandbox.fault("yookassa", "list", "html_502", times=None)
    done = await run("reconcile")
    assert done.code == 1 and "YooKassa" in done.err and "Traceback" not in done.err


async def test_list_by_state_and_user(shop, run):
    buyer = await shop.buyer()
    paid, waiting = await shop.paid(buyer), await shop.pending(buyer)
    other = await shop.pending()
    await Runner(shop.pool, PROJECTIONS["payments"]).apply(await shop.ledger.read.events_after(0))
    everything = await run("list")
    assert [row["payment"] for row in everything.rows] == [other, waiting, paid]
    assert [row["payment"] for row in (await run("list", "--state", "open", "--user", buyer)).rows] == [
        waiting
    ]
    (row,) = (await run("list", "--state", "succeeded", "--provider", "yookassa")).rows
    assert (row["payment"], row["paid_minor"], row["credits"]) == (paid, 39_000, 5)
    assert row["settled_at"].endswith("Z")
    assert (await run("list", "--provider", "stars")).rows == []
