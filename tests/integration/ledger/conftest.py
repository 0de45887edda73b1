"""A ledger on a database of its own, and ways to break the connection to it."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest
from asyncpg.transaction import Transaction

from ledger import commands as c
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.payments import commands as p

Drop = Callable[[bytes], str | None]


async def nothing(_: object) -> None:
    """What a connection is asked when it comes back, as in the services' pools."""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """A pool with the rights of most tests' login, which are all."""
    async with asyncpg.create_pool(database_url, min_size=1, max_size=4, reset=nothing) as pool:
        yield pool


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection with the owner's rights."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def ledger(database_url: str, pool: "asyncpg.Pool[asyncpg.Record]") -> AsyncIterator[Ledger]:
    async with Ledger(database_url, pool) as ledger:
        yield ledger


async def rich(ledger: Ledger, account: str, credits: int = 1000) -> None:
    """An account that has agreed to the terms and has so many credits."""
    await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
    await ledger.execute(c.AcceptTerms(account, "1", credits), key=f"terms:{account}:1")


async def buy(ledger: Ledger, account: str, credits: int, payment: str) -> None:
    """Credits for money, as a customer who has agreed to the terms."""
    terms = ("pack", credits, 100 * credits, "RUB", "1", False, None, "credits", "ru")
    await ledger.execute(c.AcceptTerms(account, "1", 0), key=f"terms-to-buy:{account}")
    for command in (
        p.OrderPayment(payment, account, "yookassa", *terms),
        p.SettlePayment(payment, account, "yookassa", f"yk-{payment}", 100 * credits, "RUB", "1", False),
    ):
        await ledger.execute(command, key=p.key_of(command))


def order(account: str, name: str, *jobs: str, price: int = 1, deadline_s: int = 900) -> c.OrderVideos:
    return c.OrderVideos(account, name, jobs or (f"{name}-1",), price, "m", "ugc", "p", "b", "ru", deadline_s)


async def positions(ledger: Ledger) -> list[int]:
    """Every position in the log, in order."""
    return [event.position async for event in ledger.read.scan()]


async def many(
    ledger: Ledger, count: int, account: str = "a", name: str = "o", price: int = 1
) -> list[Receipt | BaseException]:
    """So many orders at once; receipts and errors in their order."""
    asked = [
        ledger.execute(order(account, f"{name}{n}", price=price), key=f"order:{name}{n}")
        for n in range(count)
    ]
    return await asyncio.gather(*asked, return_exceptions=True)


class Proxy:
    """A TCP door to Postgres that can be told what to do when the client says a certain thing.

    `cut` sees each piece from the client and answers None (pass on), "before" (close both sides without
    passing it on) or "after" (pass it on, wait until the server has answered, and lose the answer).
    `half`: of the next piece that holds this, only the first half gets through, and nothing more after it.
    """

    def __init__(self, upstream: str | tuple[str, int]) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self.cut: Drop = lambda _: None
        self.half: bytes | None = None
        self.cuts = 0

    async def __aenter__(self) -> "Proxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        if isinstance(self._upstream, str):
            server, to_server = await asyncio.open_unix_connection(self._upstream)
        else:
            server, to_server = await asyncio.open_connection(*self._upstream)
        lose_answer = asyncio.Event()

        async def back() -> None:
            while data := await server.read(65536):
                if lose_answer.is_set():
                    break
                to_client.write(data)
            to_client.close()

        task = asyncio.create_task(back())
        try:
            while data := await client.read(65536):
                fate = self.cut(data)
                if fate is not None:
                    self.cuts += 1
                if fate == "before":
                    break
                if fate == "after":
                    lose_answer.set()
                if self.half and self.half in data:
                    self.half = None
                    self.cuts += 1
                    to_server.write(data[: len(data) // 2])
                    await asyncio.wait([task])  # until the server has had enough
                    break
                to_server.write(data)
        finally:
            if not lose_answer.is_set():
                to_server.close()
            await asyncio.wait([task], timeout=5)
            to_server.close()
            to_client.close()


@pytest.fixture
async def proxied(
    database_url: str, owner: "asyncpg.Connection[asyncpg.Record]"
) -> AsyncIterator[tuple[Proxy, str]]:
    """The proxy, and the URL that leads through it."""
    upstream = owner._addr  # type: ignore[attr-defined]
    database = await owner.fetchval("SELECT current_database()")
    user = await owner.fetchval("SELECT session_user")
    async with Proxy(upstream) as proxy:
        yield proxy, f"postgresql://{user}@127.0.0.1:{proxy.port}/{database}"


async def hold_lock(owner: "asyncpg.Connection[asyncpg.Record]") -> Transaction:
    """Until the transaction ends nobody can append."""
    held = owner.transaction()
    await held.start()
    await owner.execute("LOCK TABLE ledger.append_lock IN EXCLUSIVE MODE")
    return held
