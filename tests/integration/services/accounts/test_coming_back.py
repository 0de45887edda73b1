"""Whoever is erased and comes back owes what they owed; whatever happens at the same time, once."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from ledger import commands as c
from ledger.accounts.state import AccountState
from ledger.errors import KeyReusedError
from ledger.log.ledger import Ledger
from projections.verify.run import check_ledger
from services.accounts.erase import Forgetting
from services.accounts.personal_data import PersonalData, forgotten_names
from services.platform.blobs import FolderBlobs
from services.platform.settings import Settings
from tests.integration.services.purchases import buy
from tests.support.order_fixture import OrderFixture

PERSON = 900_000_001


class Returning:
    """One Telegram id, whose accounts come and go."""

    def __init__(self, settings: Settings, pool, ledger: Ledger, folder: Path) -> None:
        self.settings, self.pool, self.ledger = settings, pool, ledger
        self.people = PersonalData(pool)
        self.studio = OrderFixture(ledger, pool, FolderBlobs(folder))
        self.forgetting = Forgetting(settings, pool, ledger, FolderBlobs(folder))

    async def account(self) -> str:
        return (await self.people.account_of(PERSON, "en")).account

    async def enter(self) -> str:
        """As the bot does at the accepted terms."""
        person = await self.people.account_of(PERSON, "en")
        account = person.account
        owed = await self.people.remembered(forgotten_names(self.settings, PERSON))
        await self.ledger.execute(
            c.OpenAccount(account, person.person, debt=owed or 0), key=f"open:{account}"
        )
        await self.ledger.execute(
            c.AcceptTerms(account, "1", 0 if owed is not None else 2), key=f"t:{account}"
        )
        return account

    async def take(self, account: str, amount: int) -> None:
        """Money goes back."""
        command = c.RevokeCredits(account, amount, "money back", kind="manual")
        await self.ledger.execute(command, key=f"back:{account}:{amount}")

    async def forget(self, account: str, actor: str = "login:neurocards_operator") -> None:
        await self.forgetting.forget(account, actor=actor, reason="asked")

    async def state(self, account: str) -> AccountState:
        return await self.ledger.read.account(account)

    async def books(self) -> dict[str, int]:
        rows = await self.pool.fetch("SELECT * FROM audit.trial_balance")
        assert sum(row["balance"] for row in rows) == 0
        return {row["account"]: row["balance"] for row in rows}


@pytest.fixture
def person(settings: Settings, pool, ledger: Ledger, tmp_path: Path) -> Returning:
    return Returning(settings, pool, ledger, tmp_path)


async def test_the_debt_moves_through_the_books_and_stands_as_often_as_they_come(person: Returning):
    first = await person.enter()
    await person.take(first, 7)
    await person.forget(first)
    assert (await person.state(first)).balance == 0
    second = await person.enter()
    assert ((await person.state(second)).balance, second != first) == (-5, True)
    await buy(person.ledger, second, 3)
    await person.forget(second)
    third = await person.enter()
    assert (await person.state(third)).balance == -2
    books = await person.books()
    assert (books["issued:carried"], books["revoked:carried"]) == (-7, 7)
    await buy(person.ledger, third, 2)
    await person.forget(third)
    assert (await person.state(await person.enter())).balance == 0
    assert await check_ledger(person.pool) == []


async def test_what_unfinished_jobs_give_back_settles_the_debt_before_it_is_carried(person: Returning):
    account = await person.enter()
    jobs = ("j1", "j2")
    order = c.OrderVideos(account, "o", jobs, 1, "m", "ugc", "p", "b", "ru", 900)
    await person.ledger.execute(order, key="order:o")
    await person.take(account, 5)
    await person.forget(account)
    assert (await person.state(await person.enter())).debt == 3


async def test_forgetting_that_breaks_off_anywhere_and_is_done_by_two_carries_the_debt_once(
    person: Returning, monkeypatch
):
    account = await person.enter()
    order = c.OrderVideos(account, "o", ("j1",), 1, "m", "ugc", "p", "b", "ru", 900)
    await person.ledger.execute(order, key="order:o")
    await person.take(account, 6)
    for step in ("_fail_open_jobs", "_carry_debt", "_unlink"):
        with monkeypatch.context() as broken:
            broken.setattr(Forgetting, step, _dies)
            with pytest.raises(ConnectionError):
                await person.forget(account)
    await asyncio.gather(*(person.forget(account, f"op{number}") for number in range(4)))
    await person.forget(account)
    assert (await person.state(await person.enter())).debt == 4
    assert (await person.books())["issued:carried"] == -4


async def test_who_has_not_accepted_the_terms_is_erased_too(person: Returning):
    account = await person.account()
    await person.forget(account)
    assert await person.pool.fetchval("SELECT count(*) FROM accounts WHERE account = $1", account) == 0
    assert await person.ledger.read.stream(f"account-{account}") == []


async def test_who_comes_back_while_they_are_erased_owes_it_all_the_same(person: Returning):
    """Whenever they tap: either it is the old account, which is locked, or a new one that knows the debt."""
    account = await person.enter()
    await person.take(account, 6)

    async def tap() -> str:
        try:
            return await person.enter()
        except KeyReusedError:  # erased between the two reads: it was the old account, which is locked
            return account

    async def tap_again_and_again() -> list[str]:
        return [await tap() for _ in range(30)]

    tapping = asyncio.gather(*(tap_again_and_again() for _ in range(3)))
    taps, _ = await asyncio.gather(tapping, person.forget(account))
    accounts = {await person.enter(), *(name for names in taps for name in names)} - {account}
    assert len(accounts) == 1
    state = await person.state(accounts.pop())
    assert (state.debt, state.balance) == (4, -4)
    assert (await person.books())["revoked:carried"] == 4
    assert await check_ledger(person.pool) == []


async def test_a_new_secret_before_the_old_one_still_knows_who_it_was(person: Returning):
    account = await person.enter()
    await person.take(account, 5)
    await person.forget(account)
    person.settings = person.settings.replace(forget_secret="n" * 16)
    assert await person.people.remembered(forgotten_names(person.settings, PERSON)) is None
    old = "nobody in the sandbox is real"
    person.settings = person.settings.replace(forget_secret=f"{'n' * 16},{old}")
    person.forgetting = Forgetting(person.settings, person.pool, person.ledger, person.studio.blobs)
    back = await person.enter()
    assert (await person.state(back)).debt == 3
    await person.take(back, 1)
    await person.forget(back)  # now under the new secret; what stands under the old one is out of date
    assert (await person.state(await person.enter())).debt == 4


async def test_nothing_leads_from_what_is_kept_to_the_account(person: Returning):
    account = await person.enter()
    await person.take(account, 5)
    await person.forget(account)
    rows = [dict(row) for row in await person.pool.fetch("SELECT * FROM forgotten")]
    (name,) = forgotten_names(person.settings, PERSON)
    assert rows == [{"person": name, "debt": 3}]
    events = msgspec.json.encode([e.data for e in await person.ledger.read.events_after(0)]).decode()
    assert str(PERSON) not in events and name.hex() not in events


async def _dies(*_: object) -> None:
    raise ConnectionError
