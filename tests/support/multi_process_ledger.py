"""A database with a clock of its own, one ledger in this process and two in others.

Time is the database's; here a table says what time it is, so that days pass between two commands.
"""

import asyncio

import asyncpg

from ledger.log import clock
from ledger.log.ledger import Ledger
from tests.support.writers import Writer, stand_still

CLOCK = """
CREATE SCHEMA test_clock;
CREATE TABLE test_clock.clock (at timestamptz NOT NULL);
INSERT INTO test_clock.clock VALUES ('2026-11-22');
CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT at FROM test_clock.clock';
CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT (extract(epoch FROM at) * 1000000)::bigint FROM test_clock.clock';
GRANT USAGE ON SCHEMA test_clock TO PUBLIC;
GRANT SELECT ON test_clock.clock TO PUBLIC;
"""


class MultiProcessLedger:
    """One database with a clock to turn, one ledger here and two in processes of their own."""

    def __init__(self, database_url: str) -> None:
        self.url = database_url
        self.loop = asyncio.new_event_loop()
        self.run = self.loop.run_until_complete
        self._uptime_us = clock.uptime_us
        clock.uptime_us = stand_still
        self.run(self._open())
        self.writers = [Writer(database_url, still=True), Writer(database_url, still=True)]

    async def _open(self) -> None:
        self.owner = await asyncpg.connect(self.url)
        await self.owner.execute(CLOCK)
        name = await self.owner.fetchval("SELECT quote_ident(current_database())")
        await self.owner.execute(f"ALTER DATABASE {name} SET search_path = public, test_clock, pg_catalog")
        self.pool = await asyncpg.create_pool(self.url, min_size=1, max_size=2)
        self.ledger = await Ledger(self.url, self.pool).__aenter__()

    def close(self) -> None:
        for writer in self.writers:
            writer.close()
        self.run(self.ledger.__aexit__())
        self.run(self.pool.close())
        self.run(self.owner.close())
        self.loop.close()
        clock.uptime_us = self._uptime_us

    def now_us(self) -> int:
        sql = "SELECT (extract(epoch FROM at) * 1000000)::bigint FROM test_clock.clock"
        return int(self.run(self.owner.fetchval(sql)))

    def turn(self, us: int) -> None:
        sql = "UPDATE test_clock.clock SET at = at + $1 * interval '1 microsecond'"
        self.run(self.owner.execute(sql, us))
