"""The database's clock goes wrong: it jumps, drifts, meets a leap second, stands still, is another host's.

All time is simulated: the database's clock, this machine's, the uptime and the witness are one number with
what each is off by. Two hosts know three clocks, one host has two.
"""

from contextlib import AsyncExitStack
from email.utils import formatdate
from pathlib import Path
from typing import Any, NamedTuple

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
from services.platform import witness
from tests.integration.ledger.tampering import project, verified

HOUR, DAY = 3600, 86_400
NEAR_S, STEP_S = 60, 60
LIVES = (HOUR // 2, HOUR + 600)
DEADLINES = {"soon": 60, "middle": HOUR // 2, "after": HOUR + 300}
REFUNDS = [f"r{number}" for number in range(40)]
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


class Case(NamedTuple):
    """Ages are seconds since accounts and jobs were made."""

    off: tuple[tuple[float, float, float], ...]
    """From an age on the database's clock is off by so many seconds, and so many more each second."""
    wall_s: int | None = 0
    """By how much this machine's is off; None: the processes run on the database's."""
    witness_s: int | None = 0
    restart_s: int = 0
    """The processes start again at this age."""
    pause: tuple[int, int] = (0, 0)
    """The database stands still between these ages; its machine, if that is the processes' too."""
    until_s: int = HOUR + 1200
    near_s: int = 0
    """Deadlines may be off by so much: a clock that is believed was."""
    needed: bool = False
    """Without the decision times in its manifest an export's lots seem to die too early."""

    def off_s(self, age_s: float) -> float:
        since_s, by_s, rate = max(
            change for change in self.off if change[0] <= age_s or change is self.off[0]
        )
        return by_s + rate * (age_s - since_s)

    @property
    def ages(self) -> list[float]:
        """Each minute; the clocks jump within half a second between two events."""
        changes = [age_s + before for age_s, *_ in self.off[1:] for before in (-0.5, 0)]
        ages = {*range(int(self.off[0][0]), 0, DAY // 4), *range(0, self.until_s, STEP_S), *changes}
        return sorted(age_s for age_s in ages if not self.pause[0] < age_s < self.pause[1])


class World:
    """True time in epoch seconds. A bot with network and a monitor without."""

    def __init__(self, url: str, pool: Any, owner: Any, case: Case) -> None:
        self.url, self.pool, self.owner, self.case = url, pool, owner, case
        self.begun_s = clock.wall_us() // 10**6 - 3 * DAY
        self.age_s = case.ages[0]
        self.heard = witness.Witness()
        self.fired: dict[str, float] = {}

    async def start(self, stack: AsyncExitStack) -> None:
        await self.turn(self.age_s)
        self.bot = await self._process(stack, self._witness_us)
        self.monitor = await self._process(stack, lambda: None)

    async def _process(self, stack: AsyncExitStack, witness: Any) -> Ledger:
        ledger = await stack.enter_async_context(Ledger(self.url, self.pool, witness=witness))
        ledger._appender._writer._give_up_s = 0
        vars(ledger._clock)["wall_us"] = lambda: self._off_us(self.case.wall_s)
        await ledger.clocks()
        return ledger

    def _at_us(self, off_s: float) -> int:
        return int((self.begun_s + self.age_s + off_s) * 10**6)

    def _off_us(self, off_s: int | None) -> int | None:
        return None if off_s is None else self._at_us(off_s)

    def _witness_us(self) -> int | None:
        return self.heard.now_us() if self.case.pause[1] else self._off_us(self.case.witness_s)

    def uptime_us(self) -> int:
        """A machine that stands still does not count on."""
        stood_s = self.case.pause[1] - self.case.pause[0] if self.age_s >= self.case.pause[1] else 0
        return self._at_us(-stood_s if self.case.wall_s is None else 0)

    async def open_account(self) -> None:
        await self.bot.execute(c.OpenAccount("a", "0" * 64), key="open")
        await self.bot.execute(c.AcceptTerms("a", "1", 0), key="terms")

    async def fill(self) -> None:
        """Lots and jobs whose ends come while the clock is wrong and after, and jobs to refund."""
        for life_s in LIVES:
            gift = c.GrantCredits("a", 5, "manual", "x", None, self._at_us(life_s))
            await self.bot.execute(gift, key=f"lives-{life_s}")
        await self.bot.execute(c.GrantCredits("a", 90, "manual", "for ever"), key="ever")
        for job, deadline_s in (DEADLINES | dict.fromkeys(REFUNDS, 2 * DAY)).items():
            assert await self.order(job, deadline_s)
        assert await self.sweep() and not self.fired

    async def turn(self, age_s: float) -> None:
        """Time goes on. Telegram tells it, and somebody else did until the pause."""
        self.age_s = age_s
        date = {"Date": formatdate(self.begun_s + age_s, usegmt=True)}
        self.heard.see("telegram", date)
        if age_s <= self.case.pause[0]:
            self.heard.see("yookassa", date)
        now_us = self._at_us(self.case.off_s(age_s))
        await self.owner.execute("UPDATE public.simulated_clock SET us = $1", now_us)

    async def head_ahead_s(self) -> float:
        """By how much the log's time is ahead of the database's clock."""
        ahead_us = "SELECT max(recorded_at_us) - ledger.clock() FROM events"
        return float(await self.owner.fetchval(ahead_us)) / 10**6

    async def sweep(self) -> bool:
        """What the processes do by themselves; whether a clock is believed."""
        await self.bot.clocks()
        await self.monitor.clocks()
        try:
            await DeadlineSweep(self.monitor, self.pool).run_once()
            await self.monitor.execute(c.ExpireCredits("a"), key=f"expire-{self.age_s}")
        except ClockDoubtError:
            return False
        rows = await self.owner.fetch("SELECT substr(stream, 5) AS job FROM events WHERE type = 'JobFailed'")
        for row in rows:
            self.fired.setdefault(row["job"], self.age_s)
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


def jump(off_s: int, wrong_s: float, *, restart: bool = False, **more: Any) -> Case:
    """Off by so much for so long from the fifth second on."""
    needed = off_s == -HOUR and wrong_s > 1 and len(more) == 0
    restart_s = int(wrong_s // 2) + 5 if restart else 0
    return Case(((0, 0, 0), (5, off_s, 0), (5 + wrong_s, 0, 0)), restart_s=restart_s, needed=needed, **more)


def drift(ppm: int) -> Case:
    """Set right each week. Accounts are made a quarter of an hour before it is too far off."""
    rate = ppm / 10**6
    far_s, week_s = int(NEAR_S / abs(rate)) - 900, 7 * DAY
    changes = ((-far_s, 0, rate), (week_s - far_s, 0, rate))
    return Case(changes, until_s=week_s - far_s + 600, near_s=NEAR_S)


def pause(**more: Any) -> Case:
    """Two hours from the half hour on, and half an hour until somebody sets the clock."""
    begun_s, ended_s = HOUR // 2 + 5, 5 * HOUR // 2 + 5
    off = ((0, 0, 0), (ended_s, -2 * HOUR, 0), (ended_s + HOUR // 2, 0, 0))
    return Case(off, pause=(begun_s, ended_s), until_s=ended_s + HOUR, **more)


CASES = {
    **{
        f"{off_s} s for {wrong_s} s": jump(off_s, wrong_s, restart=restart)
        for off_s in (HOUR, 400 * DAY, -HOUR, -400 * DAY)
        for wrong_s, restart in ((0.5, False), (HOUR, True))
    },
    **{f"{off_s} s, one host": jump(off_s, HOUR, restart=True, wall_s=None) for off_s in (HOUR, -400 * DAY)},
    **{
        f"{off_s} s, no witness": jump(off_s, HOUR, restart=True, witness_s=None)
        for off_s in (400 * DAY, -HOUR)
    },
    **{f"a failover, {off_s} s": jump(off_s, HOUR, restart=off_s == 480) for off_s in (-480, -40, 40, 480)},
    **{f"{ppm} ppm, set weekly": drift(ppm) for ppm in (100, -100)},
    "a leap second, smeared": Case(((0, 0, -0.5 / 1800), (1800, 0.5, -0.5 / 1800), (3600, 0, 0))),
    "a leap second, a step": Case(((0, 0, 0), (1800, 1, 0), (2400, 0, 0))),
    "two hours' pause of the database": pause(needed=True),
    "two hours' pause of everything": pause(wall_s=None),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_wrong_clock(database_url, pool, owner, monkeypatch, tmp_path, name):
    """While two clocks agree only orders stop, when it is behind; else all waits, and nothing is lost."""
    await owner.execute(CLOCK)
    case = CASES[name]
    world = World(database_url, pool, owner, case)
    for module in (clock, witness):
        monkeypatch.setattr(module, "uptime_us", world.uptime_us)
    monkeypatch.setattr(batch_writer, "_DOUBT_S", 0.01)
    agreed = case.wall_s is not None and case.witness_s is not None
    restart_s = case.restart_s or case.until_s
    refunds = list(REFUNDS)
    quiet_s: float = case.pause[1]
    async with AsyncExitStack() as stack:
        await world.start(stack)
        await world.open_account()
        for age_s in case.ages:
            await world.turn(age_s)
            off_s = case.off_s(age_s)
            if age_s == 0:
                await world.fill()
            believed = await world.sweep()
            assert believed == (agreed or abs(off_s) <= NEAR_S)
            quiet_s = quiet_s if believed else age_s
            if age_s > 0 and (age_s % 300 == 0 or age_s % STEP_S):
                in_time = off_s > NEAR_S or (off_s >= -NEAR_S and await world.head_ahead_s() <= 5)
                taken = await world.order(f"n{age_s}", 9 * DAY)
                assert taken == (believed and in_time), "orders wait only while the clock is behind"
                assert await world.refund(refunds[0]) == believed, "a refund waits only where all does"
                refunds = refunds[believed:]
            if age_s >= restart_s:
                restart_s = case.until_s
                await stack.aclose()
                await world.start(stack)

        for job, deadline_s in DEADLINES.items():
            fired_s = world.fired[job]
            latest_s = max(deadline_s, quiet_s) + 60 + case.near_s
            assert deadline_s - case.near_s <= fired_s <= latest_s, job
        assert not [job for job in world.fired if job.startswith("n")]
        for lot, decided_us in await owner.fetch(EXPIRED):
            assert decided_us >= (world.begun_s + LIVES[lot - 1]) * 10**6, "a lot died before its time"
        assert await owner.fetchval("SELECT max(recorded_at_us) FROM events") <= world._at_us(0)
    await project(pool)
    assert (await verified(owner)).problems == []
    await check_export(pool, tmp_path / "log", needed=case.needed)
    await check_forged(owner)
