"""Changes of a user of the dashboard: two approve at once, an erased account, and what its login may not."""

import asyncio

import asyncpg
import pytest

from events.account import CreditsGranted
from events.codec import decode
from ledger import commands as c
from ledger.errors import AccountErasedError, ChangeClosedError
from ledger.log.ledger import Ledger
from projections.reports.audit_questions import exceptions
from projections.reports.log_position import NOW
from projections.verify.run import check_ledger
from tests.integration.ledger.conftest import rich
from tests.integration.ledger.test_door import login
from tests.support.hand_made import append

__all__ = ["login"]

LIMIT = 100_000


def proposal(change: str, amount: int = 900) -> c.ProposeChange:
    return c.ProposeChange("a", change, "grant", amount, "ticket", "user:u1")


async def test_two_who_approve_at_once_are_one_change(ledger: Ledger, pool, database_url: str):
    await rich(ledger, "a")
    await ledger.execute(proposal("c1"), key="c1")
    async with Ledger(database_url, pool) as another:
        both = await asyncio.gather(
            *(
                each.execute(c.ApproveChange("a", "c1", "yes", f"user:u{number}"), key=f"approve:{number}")
                for number, each in enumerate((ledger, another), start=2)
            ),
            return_exceptions=True,
        )
    assert sorted(type(one).__name__ for one in both) == ["ChangeClosedError", "Receipt"]
    granted = [decode(row) for row in await ledger.read.stream("account-a") if row.type == "CreditsGranted"]
    assert isinstance(granted[-1], CreditsGranted)
    assert [(g.amount, g.actor) for g in granted[1:] if isinstance(g, CreditsGranted)] == [(900, "user:u1")]
    assert [row["kind"] for row in await exceptions(pool, 10**6, None, NOW, 9)] == []
    assert await check_ledger(pool) == []


async def test_what_one_person_proposed_and_approved_is_an_exception(ledger: Ledger, pool):
    await rich(ledger, "a")
    await ledger.execute(proposal("c1"), key="c1")
    await ledger.execute(c.ApproveChange("a", "c1", "alone tonight", "user:u1"), key="approve")
    (found,) = await exceptions(pool, 10**6, None, NOW, 9)
    assert (found["kind"], found["amount"], found["words"]) == (
        "self_approved", 900, "grant: user:u1: alone tonight",
    )  # fmt: skip


async def test_an_erased_account_takes_its_proposals_along(ledger: Ledger):
    await rich(ledger, "a")
    await ledger.execute(proposal("c1"), key="c1")
    await ledger.execute(c.ForgetAccount("a", "asked", "account:a"), key="forget")
    with pytest.raises(AccountErasedError, match="was erased"):
        await ledger.execute(c.ApproveChange("a", "c1", "yes", "user:u2"), key="approve")


async def test_asked_again_under_its_key_an_approval_is_answered(ledger: Ledger):
    await rich(ledger, "a")
    await ledger.execute(proposal("c1"), key="c1")
    approve = c.ApproveChange("a", "c1", "yes", "user:u2")
    first = await ledger.execute(approve, key="approve")
    assert await ledger.execute(approve, key="approve") == first
    with pytest.raises(ChangeClosedError):
        await ledger.execute(approve, key="another form")


async def test_the_dashboard_s_login_moves_so_much_a_day_and_in_a_user_s_name(ledger: Ledger, owner, login):
    await rich(ledger, "a")
    dashboard = await login("dashboard")

    def granted(amount: int, actor: str = "user:u1"):
        return ("account-a", "CreditsGranted", {
            "amount": amount, "kind": "manual", "reason": "x", "lot": 2, "actor": actor,
        })  # fmt: skip

    for actor in ("", "account:a", "login:neurocards_dashboard"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="in a user's name"):
            await append(dashboard, [granted(1, actor)])
    await append(dashboard, [granted(LIMIT - 1)])
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="at most 100000 credits a day"):
        await append(dashboard, [granted(2)])
    await append(dashboard, [granted(1)])
    await owner.execute("UPDATE ledger.day_limits SET day = day - 1")
    await append(dashboard, [granted(LIMIT)])
    assert (await owner.fetchrow("SELECT moved FROM ledger.day_limits"))["moved"] == LIMIT
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await dashboard.execute("UPDATE ledger.day_limits SET credits = 10 ^ 9")
