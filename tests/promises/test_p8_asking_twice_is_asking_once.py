"""Promise 8: Asking twice is asking once.

Every command carries an idempotency key; an *accepted* command's key and body give the same answer for
ever; same key with another body is an error. A rejection burns no key.
"""

import asyncio
import random

import pytest

from ledger.errors import (
    KeyReusedError,
)
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from tests.integration.ledger.conftest import many, order, positions, rich

CALL = b"CreditsCharged"
"""Holds the append that carries it, and nothing else that is sent."""


async def test_asking_twice_is_asking_once(ledger, database_url, pool):
    await rich(ledger, "a")
    first = await ledger.execute(order("a", "o"), key="order:o")
    async with Ledger(database_url, pool) as another:
        assert await another.execute(order("a", "o"), key="order:o") == first
        with pytest.raises(KeyReusedError):
            await another.execute(order("a", "o", "other"), key="order:o")
    assert (await ledger.read.head()).position == 5


async def test_the_same_key_at_the_same_moment_from_two_appenders(ledger, database_url, pool):
    await rich(ledger, "a")
    async with Ledger(database_url, pool) as another:
        answers = await asyncio.gather(
            *[who.execute(order("a", "o"), key="order:o") for _ in range(20) for who in (ledger, another)]
        )
    assert len(set(answers)) == 1
    assert (await ledger.read.account("a")).balance == 999


async def test_the_same_keys_in_two_batches_under_way_get_the_same_answers(ledger):
    await rich(ledger, "a")
    answers = await many(ledger, 64)
    twice = await asyncio.gather(many(ledger, 40, name="p"), many(ledger, 40, name="p"))
    assert twice[0] == twice[1]
    assert await many(ledger, 64) == answers
    assert (await ledger.read.account("a")).balance == 1000 - 64 - 40


@pytest.mark.parametrize("fate", ["before", "after"])
async def test_a_connection_cut_at_the_commit_is_resolved_to_the_truth(ledger, pool, proxied, fate):
    """`before`: the server never saw the call. `after`: it committed, but the answer was lost."""
    await rich(ledger, "a")
    proxy, url = proxied
    async with Ledger(url, pool) as through:
        await through.execute(order("a", "warm"), key="order:warm")
        left = [fate]
        proxy.cut = lambda data: left.pop() if left and CALL in data else None
        answers = await asyncio.gather(
            *[through.execute(order("a", f"o{n}"), key=f"order:o{n}") for n in range(3)]
        )
        assert proxy.cuts == 1
        assert [await through.execute(order("a", f"o{n}"), key=f"order:o{n}") for n in range(3)] == answers
    assert (await ledger.read.account("a")).balance == 1000 - 4
    assert await positions(ledger) == list(range(1, 12))


async def test_commits_cut_again_and_again_under_load_give_each_caller_one_receipt(ledger, pool, proxied):
    """Every second commit or so, on either side, while the next batch is already under way behind it."""
    await rich(ledger, "a")
    proxy, url = proxied
    dice = random.Random(3)

    def cut(data: bytes) -> str | None:
        return dice.choice([None, None, "before", "after"]) if CALL in data and proxy.cuts < 12 else None

    async with Ledger(url, pool) as through:

        async def caller(number: int) -> list[Receipt]:
            named = [f"o{number}-{n}" for n in range(20)]
            return [await through.execute(order("a", name), key=f"order:{name}") for name in named]

        await through.execute(order("a", "warm"), key="order:warm")
        proxy.cut = cut
        receipts = await asyncio.gather(*(caller(number) for number in range(40)))
        assert proxy.cuts == 12
    for number, told in enumerate(receipts):
        named = [f"o{number}-{n}" for n in range(20)]
        assert told == [await ledger.execute(order("a", name), key=f"order:{name}") for name in named]
    assert (await ledger.read.account("a")).balance == 1000 - 1 - 800
    assert await positions(ledger) == list(range(1, 3 + 2 * 801 + 1))
