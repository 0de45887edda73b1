"""What a user could have instead of our ledger, charging the same way: same server, same durability.

- the limit: raw COPY of our own rows into a table with the same columns, checks and indexes;
- a plain SQL ledger: BEGIN; SELECT … FOR UPDATE; UPDATE balance; INSERT; COMMIT, over 64 connections;
- the `eventsourcing` library (https://eventsourcing.readthedocs.io): an aggregate per account, its Postgres
  recorder, its cache of aggregates, a thread per caller.
"""

import itertools
import threading
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from tests.bench.figures import Run, callers

_PLAIN_TABLES = """
CREATE TABLE plain_balances (account text PRIMARY KEY, credits bigint NOT NULL CHECK (credits >= 0));
CREATE TABLE plain_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account text NOT NULL, job text NOT NULL UNIQUE,
    amount bigint NOT NULL, key text NOT NULL UNIQUE, model text, style text, photo text, brief text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp());
"""


async def copy_per_s(url: str, rows_max: int = 200_000) -> float:
    """Rows per second of COPY into a table like `events`."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE events INCLUDING ALL)"
        )
        rows = await connection.fetch(f"SELECT * FROM events ORDER BY position LIMIT {rows_max}")
        records = [tuple(row) for row in rows]
        begin = time.perf_counter()
        await connection.copy_records_to_table("copied", records=records)
        elapsed = time.perf_counter() - begin
        await connection.execute("DROP TABLE copied")
    finally:
        await connection.close()
    return len(records) / elapsed


class PlainLedger:
    """A balance per account and a table of entries; every rule in one transaction."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._serial = itertools.count()

    async def open(self, accounts: int) -> None:
        await self._pool.execute(_PLAIN_TABLES)
        await self._pool.execute(
            "INSERT INTO plain_balances SELECT 'a' || n, 1000000000 FROM generate_series(0, $1) n", accounts
        )

    async def charge(self, caller: int) -> None:
        n = f"{next(self._serial):024d}"
        async with self._pool.acquire() as connection, connection.transaction():
            account = f"a{caller}"
            credits = await connection.fetchval(
                "SELECT credits FROM plain_balances WHERE account = $1 FOR UPDATE", account
            )
            if credits < 1:
                raise ValueError("not enough credits")
            await connection.execute(
                "UPDATE plain_balances SET credits = credits - 1 WHERE account = $1", account
            )
            await connection.execute(
                "INSERT INTO plain_entries (account, job, amount, key, model, style, photo, brief)"
                " VALUES ($1, $2, 1, $3, 'bytedance/seedance-2-fast', 'ugc', $4, $5)",
                account, f"{n}-0", f"order:{n}", f"photos/{n}.jpg", n,
            )  # fmt: skip

    async def measure(self, count: int, seconds: float) -> Run:
        return await callers(count, seconds, self.charge)


class _Account(Aggregate):
    """As the library's documentation writes an aggregate."""

    def __init__(self, credits: int) -> None:
        self.credits = credits

    @event("Charged")
    def charge(
        self, job: str, order: str, amount: int, model: str, style: str, photo: str, brief: str
    ) -> None:
        if self.credits < amount:
            raise ValueError("not enough credits")
        self.credits -= amount


class _Accounts(Application[Any]):
    pass


class EventSourced:
    """The library's application on the same server; each caller is a thread with an account of its own."""

    def __init__(self, url: str, accounts: int) -> None:
        parts = urlsplit(url)
        self._application = _Accounts(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": parts.path.lstrip("/"),
                "POSTGRES_HOST": parts.hostname or parse_qs(parts.query)["host"][0],
                "POSTGRES_PORT": str(parts.port or 5432),
                "POSTGRES_USER": parts.username or "postgres",
                "POSTGRES_PASSWORD": parts.password or "none",
                "POSTGRES_POOL_SIZE": "32",
                "POSTGRES_MAX_OVERFLOW": "32",
                "POSTGRES_MAX_WAITING": "64",
                "AGGREGATE_CACHE_MAXSIZE": "1000",
            }
        )
        self._serial = itertools.count()
        self._ids = []
        for _ in range(accounts):
            account = _Account(credits=1_000_000_000)
            self._application.save(account)
            self._ids.append(account.id)

    def charge(self, caller: int) -> None:
        n = f"{next(self._serial):024d}"
        account: _Account = self._application.repository.get(self._ids[caller])
        account.charge(f"{n}-0", n, 1, "bytedance/seedance-2-fast", "ugc", f"photos/{n}.jpg", n)
        self._application.save(account)

    def measure(self, count: int, seconds: float) -> Run:
        latencies: list[float] = []
        errors: list[BaseException] = []
        begin = time.perf_counter()

        def one(caller: int) -> None:
            try:
                while (start := time.perf_counter()) < begin + seconds:
                    self.charge(caller)
                    latencies.append(time.perf_counter() - start)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=(caller,)) for caller in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]
        return Run(time.perf_counter() - begin, latencies)

    def close(self) -> None:
        self._application.close()
