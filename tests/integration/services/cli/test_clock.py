"""A clock was 400 days ahead for ten minutes, on one host with nobody to ask; an operator puts it right."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger import commands as c
from ledger.checkpoints.signed_note import new_key
from ledger.errors import LedgerUnavailableError
from ledger.log.ledger import Ledger
from ledger.payments import commands as p
from ledger.sql import load_queries
from projections.checkpoints import make_checkpoint
from projections.verify.run import verify_on
from tests.integration.ledger.conftest import order
from tests.integration.ledger.tampering import project, turned_clock
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment

DAY_S = 86_400
LIFE_S = 30 * DAY_S


class Host:
    """One host: its database's clock is the only one, and `neurocards` runs on it."""

    def __init__(self, folder: Path, url: str, owner: Any, ledger: Ledger) -> None:
        self.folder, self.url, self.owner, self.ledger = folder, url, owner, ledger

    @asynccontextmanager
    async def ahead(self) -> AsyncIterator[None]:
        """The clock is 400 days ahead, which a person confirms; right again for who starts then."""
        await self.owner.execute(turned_clock(400 * DAY_S))
        assert (await self.ledger.clocks()).outcome == "gap", "nobody else tells the time"
        assert (await self.run("clock", "confirm")).returncode == 2, "it asks"
        confirmed = await self.run("clock", "confirm", "--yes")
        assert confirmed.returncode == 0, confirmed.stderr
        await self.ledger.clocks()
        yield
        await self.owner.execute(turned_clock(0))
        await self.ledger.__aexit__()
        self.ledger = await Ledger(self.url, self.ledger.read.pool).__aenter__()

    async def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        env = clean_environment(DATABASE_URL=self.url)
        return await asyncio.to_thread(neurocards, list(words), cwd=self.folder, env=env)

    async def correct(self, *words: str, off_s: float = 0) -> "subprocess.CompletedProcess[str]":
        now = datetime.now(UTC) + timedelta(seconds=off_s)
        said = ("--to", now.isoformat(), "--reason", "the host's clock", "-o", "json")
        return await self.run("clock", "correct", *said, *words)

    async def buy(self, account: str, payment: str, credits: int = 30, *, paid: bool = True) -> None:
        terms = ("pack", credits, 100 * credits, "RUB", "1", False, LIFE_S, "credits", "ru")
        await self.pay(p.OrderPayment(payment, account, "yookassa", *terms))
        if paid:
            await self.settle(account, payment, credits)

    async def settle(self, account: str, payment: str, credits: int = 30) -> None:
        await self.pay(
            p.SettlePayment(payment, account, "yookassa", f"yk-{payment}", 100 * credits, "RUB", "1", False)
        )

    async def pay(self, command: p.PaymentCommand) -> None:
        await self.ledger.execute(command, key=p.key_of(command))

    async def open(self, account: str, credits: int = 0) -> None:
        await self.ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
        await self.ledger.execute(c.AcceptTerms(account, "1", credits), key=f"terms:{account}")

    async def order(self, account: str, name: str) -> None:
        await self.ledger.execute(order(account, name), key=f"order:{name}")

    async def balance(self, account: str) -> int:
        return (await self.ledger.read.account(account)).balance

    async def problems(self) -> list[str]:
        await project(self.ledger.read.pool)
        return [f"{one.kind} {one.position} {one.message}" for one in (await verify_on(self.owner)).problems]


@pytest.fixture
async def host(tmp_path: Path, database_url: str, pool) -> AsyncIterator[Host]:
    owner = await asyncpg.connect(database_url)
    host = Host(tmp_path, database_url, owner, await Ledger(database_url, pool).__aenter__())
    yield host
    await host.ledger.__aexit__()
    await owner.close()


async def spoil(host: Host) -> None:
    """Paid credits die, a job is due next year, an open payment is given up; then the clock is right."""
    await host.open("a")
    await host.open("b", 5)
    await host.buy("a", "p1")
    await host.buy("a", "p2", 10, paid=False)
    await host.order("a", "before")
    async with host.ahead():
        await host.ledger.execute(c.ExpireCredits("a"), key="expire:a")
        await host.order("b", "absurd")
        await host.pay(p.ExpirePayment("p2", "unpaid"))
        await host.buy("b", "p3", 7)


async def test_all_is_well_after_an_operator_has_corrected_it(host: Host, pool):
    await spoil(host)
    assert (await host.balance("a"), await host.balance("b")) == (0, 11)
    with pytest.raises(LedgerUnavailableError, match="later"):
        await host.order("b", "waits")
    shown = json.loads((await host.run("clock", "show", "-o", "json")).stdout)[0]
    assert (shown["outcome"], shown["head"][:4]) == ("later", "2028") and shown["believed"] == shown["clock"]
    assert any(problem.startswith("clock") for problem in await host.problems())

    head = await host.ledger.read.head()
    wrong = await host.correct("--yes", off_s=3600)
    assert wrong.returncode == 1 and "set the wrong one right" in wrong.stderr
    shown = await host.correct("--dry-run")
    assert shown.returncode == 0 and await host.ledger.read.head() == head
    assert (await host.correct()).returncode == 2, "it asks, and there is no terminal"
    done = await host.correct("--yes")
    assert done.returncode == 0, done.stderr
    assert re.search("went back by (399 d 23 h|400 d) ", done.stderr), "less the seconds that this took"
    rows = [(row["what"], row["account"], row["object"], row["credits"]) for row in json.loads(done.stdout)]
    assert json.loads(shown.stdout) == json.loads(done.stdout)
    assert sorted(rows) == [
        ("fail and refund", "b", "absurd-1", 1),
        ("give back", "a", "lot 1", 29),
        ("stays: may live too long", "b", "CreditsGranted", 7),
        ("watch again", "a", "p2", 10),
    ]

    assert (await host.balance("a"), await host.balance("b")) == (29, 12), "every paid credit is there"
    (lot,) = (await host.ledger.read.account("a")).lots
    bought = json.loads((await host.ledger.read.stream("account-a"))[2].data)
    assert (lot.kind, lot.expires_at_us) == ("correction", bought["expires_at_us"])
    assert [job.job for job in await host.ledger.read.open_jobs()] == ["before-1"]
    assert await pool.fetchval("SELECT payment FROM payment_watch WHERE due_at <= clock_timestamp()") == "p2"
    await host.settle("a", "p2", 10)
    await host.order("a", "after")
    assert await host.balance("a") == 38
    assert await host.problems() == []
    assert (await host.ledger.clocks()).outcome == "ok"

    assert await make_checkpoint(host.ledger, new_key("neurocards/test"), program="0.1.0")
    for words in (
        ("ledger", "verify"),
        ("replay", "all", "--check"),
        ("ledger", "export", "--format", "jsonl", "--file", "log.jsonl"),
        ("ledger", "verify-export", "log.jsonl"),
    ):
        ended = await host.run(*words)
        assert ended.returncode == 0, (words, ended.stdout, ended.stderr)


async def test_what_a_crash_left_is_found_and_finished_once_by_whoever_asks(host: Host, pool):
    await spoil(host)
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    assert await pool.fetchval("SELECT outcome FROM ledger.correct_clock($1, 'x')", now_us) == "later"
    (missing,) = await host.problems()
    assert "29 credits of lot 1 of account-a" in missing and "0 came back" in missing
    both = await asyncio.gather(host.correct("--yes"), host.correct("--yes"))
    assert [done.returncode for done in both] == [0, 0], [done.stderr for done in both]
    assert (await host.balance("a"), await host.balance("b")) == (29, 12)
    assert await host.problems() == []
    head = await host.ledger.read.head()
    again = await host.correct("--yes")
    assert again.returncode == 0
    assert {row["what"] for row in json.loads(again.stdout)} == {"stays: may live too long"}
    assert await host.ledger.read.head() == head


@pytest.mark.parametrize(("sent_back", "comes_back"), [(1500, 15), (3000, 0)])
async def test_credits_whose_money_went_back_meanwhile_do_not_return(host: Host, pool, sent_back, comes_back):
    await host.open("a")
    await host.buy("a", "p1")
    async with host.ahead():
        await host.ledger.execute(c.ExpireCredits("a"), key="expire:a")
        await host.pay(p.RecordRefund("p1", "a", "yookassa", "yk-p1", "yr-1", sent_back))
    assert (await host.correct("--yes")).returncode == 0
    assert await host.balance("a") == comes_back
    assert await host.problems() == []
    assert await pool.fetch("SELECT * FROM audit.unsettled_payments") == []
    if comes_back:
        await host.pay(p.RecordRefund("p1", "a", "yookassa", "yk-p1", "yr-2", 3000 - sent_back))
        assert await host.balance("a") == 0
        assert await host.problems() == []
        assert await pool.fetch("SELECT * FROM audit.unsettled_payments") == []


async def test_what_waits_beside_the_log_waits_for_no_year(host: Host, pool):
    later = "clock_timestamp() + interval '400 days'"
    await host.open("a")
    await pool.execute(f"""
        INSERT INTO payment_watch (payment, account, provider, opened_at, due_at)
        VALUES ('p', 'a', 'stars', {later}, {later});
        INSERT INTO payment_comparisons (provider, since, began_at) VALUES ('stars', now(), {later});
        INSERT INTO status_messages (subject, name, account, due_at) VALUES ('order', 'o', 'a', {later});
        INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, due_at)
        VALUES ('j', 'video', 1, 'a', 'o', 1, 1, 'ru', {later});
        INSERT INTO model_circuits (model, state, set_by, until_us)
        VALUES ('m', 'paused', 'provider', (extract(epoch FROM {later}) * 1000000)::bigint);
    """)
    done = await host.correct("--yes")
    assert done.returncode == 0 and "4 times of the future" in done.stderr, done.stderr
    assert "0 times of the future" in (await host.correct("--yes")).stderr
    begin = load_queries("services.payments")("comparison_begin")
    assert await pool.fetchval(begin, "stars", 7, 86_400), "one that is dated ahead holds up no other"
