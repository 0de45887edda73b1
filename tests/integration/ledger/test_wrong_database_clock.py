"""The database's clock goes wrong: by an hour or 400 days, for one event or an hour, across restarts.

All time is simulated: the database's clock, this machine's, the uptime and the witness are one number with
what each is off by. Two hosts know three clocks, one host has two.
"""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from events.job import Failure
from ledger import commands as c
from ledger.errors import ClockDoubtError, LedgerUnavailableError
from ledger.log import batch_writer, clock
from ledger.log.ledger import Ledger
from projections.export.manifest import path_of, read_manifest
from projections.export.verify import verify_file
from projections.export.writer import export, range_of, snapshot
from services.monitor.job_deadlines import DeadlineSweep
from tests.integration.ledger.tampering import project, verified

HOUR, DAY = 3600, 86_400
STEP_S = 60
LIVES = (HOUR // 2, HOUR + 600)
DEADLINES = {"soon": 60, "middle": HOUR // 2, "after": HOUR + 300}
REFUNDS = [f"r{number}" for number in range(HOUR // 300 + 1)]
CLOCK = """
CREATE TABLE public.simulated_clock (us bigint NOT NULL);
INSERT INTO public.simulated_clock VALUES (0);
GRANT SELECT ON public.simulated_clock TO PUBLIC;
CREATE OR REPLACE FUNCTION ledger.clock() RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT us FROM public.simulated_clock'
"""
EXPIRED = """
SELECT (e.data ->> 'lot')::int AS lot, coalesce(t.decided_us, e.recorded_at_us) AS decided_us
FROM events e LEFT JOIN ledger.decision_times t ON e.position BETWEEN t.first AND t.last
WHERE e.type = 'CreditsExpired'
"""


class World:
    """True time in epoch seconds; `database_s`, `wall_s` and `witness_s`: by how much each clock is off.

    A bot with network and a monitor without. `wall_s` None: they run on the database's machine.
    """

    def __init__(self, url: str, pool: Any, owner: Any, wall_s: int | None, witness_s: int | None) -> None:
        self.url, self.pool, self.owner = url, pool, owner
        self.wall_s, self.witness_s = wall_s, witness_s
        self.begun_s = self.true_s = clock.wall_us() // 10**6 - 3 * DAY
        self.database_s = 0
        self.fired: dict[str, int] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        await self.turn(0)
        self.bot = await self._process(stack, lambda: self._off_us(self.witness_s))
        self.monitor = await self._process(stack, lambda: None)

    async def _process(self, stack: AsyncExitStack, witness: Any) -> Ledger:
        ledger = await stack.enter_async_context(Ledger(self.url, self.pool, witness=witness))
        ledger._appender._writer._give_up_s = 0
        vars(ledger._clock)["wall_us"] = lambda: self._off_us(self.wall_s)
        await ledger.clocks()
        return ledger

    def _off_us(self, seconds: int | None) -> int | None:
        return None if seconds is None else (self.true_s + seconds) * 10**6

    @property
    def age_s(self) -> int:
        return self.true_s - self.begun_s

    async def fill(self) -> None:
        """Lots and jobs whose ends come while the clock is wrong and after, and jobs to refund."""
        await self.bot.execute(c.OpenAccount("a", "0" * 64), key="open")
        await self.bot.execute(c.AcceptTerms("a", "1", 0), key="terms")
        for life_s in LIVES:
            gift = c.GrantCredits("a", 5, "manual", "x", None, self._off_us(life_s))
            await self.bot.execute(gift, key=f"lives-{life_s}")
        await self.bot.execute(c.GrantCredits("a", 90, "manual", "for ever"), key="ever")
        for job, deadline_s in (DEADLINES | dict.fromkeys(REFUNDS, 2 * DAY)).items():
            assert await self.order(job, deadline_s)
        assert await self.sweep() and not self.fired

    async def turn(self, seconds: int, database_s: int | None = None) -> None:
        """Time goes on, and the database's clock is off by so much from then on."""
        self.true_s += seconds
        self.database_s = self.database_s if database_s is None else database_s
        now_us = self._off_us(self.database_s)
        await self.owner.execute("UPDATE public.simulated_clock SET us = $1", now_us)

    async def sweep(self) -> bool:
        """What the processes do by themselves; whether a clock is believed."""
        await self.bot.clocks()
        await self.monitor.clocks()
        try:
            await DeadlineSweep(self.monitor, self.pool).run_once()
            await self.monitor.execute(c.ExpireCredits("a"), key=f"expire-{self.true_s}")
        except ClockDoubtError:
            return False
        rows = await self.owner.fetch("SELECT substr(stream, 5) AS job FROM events WHERE type = 'JobFailed'")
        for row in rows:
            self.fired.setdefault(row["job"], self.true_s)
        return True

    async def order(self, job: str, deadline_s: int) -> bool:
        return await self._taken(
            c.OrderVideos("a", job, (job,), 1, "m", "ugc", "p", "b", "ru", deadline_s), job
        )

    async def refund(self, job: str) -> bool:
        return await self._taken(
            c.FailJob(job, "a", "operator", Failure("cancelled", "asked")), f"fail-{job}"
        )

    async def _taken(self, command: Any, key: str) -> bool:
        """Whether it was taken; what is refused is taken later with the same key."""
        try:
            await self.bot.execute(command, key=key)
        except LedgerUnavailableError:
            return False
        return True


async def check_export(pool: Any, file: Path, *, needed: bool) -> None:
    """Check a file by the decision times in its manifest; without them lots seem to die too early."""
    async with snapshot(pool) as connection:
        manifest = await export(connection, await range_of(connection, None), file, "jsonl")
    assert verify_file(file, read_manifest(path_of(file))).problems == []
    told = verify_file(file, replace(manifest, decided={})).problems
    assert not needed or {problem.kind for problem in told} == {"lots"}


async def check_forged(owner: Any) -> None:
    """Forge every decision time, some of them so that no clock could say it: each batch is named."""
    await owner.execute("UPDATE ledger.decision_times SET decided_us = decided_us - 6000000")
    extremes = [(column, 2**63 - 1) for column in ("decided_us", "clock_us", "wall_us", "witness_us")]
    first = "first = (SELECT first FROM ledger.decision_times ORDER BY first OFFSET {} LIMIT 1)"
    for number, (column, us) in enumerate([*extremes, ("wall_us", -(2**63)), ("witness_us", -(2**63))]):
        change = f"UPDATE ledger.decision_times SET {column} = $1 WHERE {first.format(number)}"
        await owner.execute(change, us)  # no number ends the search
    forged = await owner.fetchval("SELECT count(*) FROM ledger.decision_times")
    found = [problem for problem in (await verified(owner)).problems if "clocks it names" in problem.message]
    assert len(found) == forged


TIMES = ((0, False), (HOUR, True))
CASES = [
    # off by, so long, restarted, this machine's clock off by, the witness off by
    *((off_s, *times, 0, 0) for off_s in (HOUR, 400 * DAY, -HOUR, -400 * DAY) for times in TIMES),
    *((off_s, HOUR, True, None, 0) for off_s in (HOUR, -400 * DAY)),
    *((off_s, HOUR, True, 0, None) for off_s in (400 * DAY, -HOUR)),
    (-480, HOUR, False, 0, 0),  # the other host of a failover
]


@pytest.mark.parametrize(("off_s", "wrong_s", "restart", "wall_s", "witness_s"), CASES)
async def test_a_wrong_clock(
    database_url, pool, owner, monkeypatch, tmp_path, off_s, wrong_s, restart, wall_s, witness_s
):
    """While two clocks agree only orders stop, when it is behind; else all waits, and nothing is lost."""
    await owner.execute(CLOCK)
    world = World(database_url, pool, owner, wall_s, witness_s)
    monkeypatch.setattr(clock, "uptime_us", lambda: world.true_s * 10**6)
    monkeypatch.setattr(batch_writer, "_DOUBT_S", 0.01)
    agreed = wall_s is not None and witness_s is not None
    refunds = list(REFUNDS)
    async with AsyncExitStack() as stack:
        await world.start(stack)
        await world.fill()
        await world.turn(5, off_s)
        while world.age_s <= HOUR + 1200:
            wrong = world.age_s <= wrong_s + 5
            await world.turn(0, off_s if wrong else 0)
            believed = await world.sweep()
            assert believed == (agreed or not wrong)
            if refunds and world.age_s % 300 < STEP_S:
                assert await world.refund(refunds[0]) == believed, "a refund waits only where all does"
                refunds = refunds[believed:]
                taken = await world.order(f"n{world.true_s}", 9 * DAY)
                assert taken == (not wrong or (agreed and off_s > 0)), "orders go on while it is ahead"
            if restart and world.age_s > wrong_s // 2:
                restart = False
                await stack.aclose()
                await world.start(stack)
            else:
                await world.turn(STEP_S)

        assert refunds == ([] if agreed else REFUNDS[-len(refunds) :])
        in_doubt_s = 0 if agreed else wrong_s + 5
        for job, deadline_s in DEADLINES.items():
            fired_s = world.fired[job] - world.begun_s
            assert deadline_s <= fired_s <= max(deadline_s, in_doubt_s) + 60, job
        assert not [job for job in world.fired if job.startswith("n")]
        for lot, decided_us in await owner.fetch(EXPIRED):
            assert decided_us >= (world.begun_s + LIVES[lot - 1]) * 10**6, "a lot died before its time"
        assert await owner.fetchval("SELECT max(recorded_at_us) FROM events") <= world.true_s * 10**6
    await project(pool)
    assert (await verified(owner)).problems == []
    await check_export(pool, tmp_path / "log", needed=off_s == -HOUR and wrong_s > 0 and agreed)
    await check_forged(owner)
