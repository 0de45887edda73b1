"""What must be true of a log after many writers were killed over it, by what they were told and by itself."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import asyncpg

from events.account import CreditsCharged, CreditsRefunded
from events.codec import decode
from events.envelope import Recorded
from ledger import commands as c
from ledger.log.batch import Receipt
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from projections.verify.run import check_ledger
from tests.support.books import Books, imbalances
from tests.support.killed_writers import CREDITS, RIVALS, Asked, Diary, WriterProcess, storm
from tests.support.turns import Turns, turns_of


class Told:
    """Everything that all diaries say."""

    def __init__(self, diaries: Iterable[Diary]) -> None:
        self.asked: dict[str, Asked] = {}
        self.receipts: defaultdict[str, set[Receipt]] = defaultdict(set)
        self.refused: Counter[str] = Counter()
        refusals: set[str] = set()
        for diary in diaries:
            for line in diary.lines():
                if line.command is not None:
                    self.asked[line.key] = line.command
                elif line.receipt is not None:
                    self.receipts[line.key].add(line.receipt)
                else:
                    refusals.add(line.key)
                    self.refused[line.refused] += 1
        self.only_refused = refusals - set(self.receipts)

    def balances(self) -> Counter[str]:
        """What each account must hold, by the receipts alone."""
        held = Counter(CREDITS)
        prices = {
            job: order.price
            for order in self.asked.values()
            if isinstance(order, c.OrderVideos)
            for job in order.jobs
        }
        for key in self.receipts:
            match self.asked[key]:
                case c.OrderVideos(account=account, jobs=jobs, price=price):
                    held[account] -= len(jobs) * price
                case c.FailJob(account=account, job=job):
                    held[account] += prices[job]
                case c.GrantCredits(account=account, amount=amount):
                    held[account] += amount
        return held


async def survives_killed_writers(
    ledger: Ledger,
    pool: "asyncpg.Pool[asyncpg.Record]",
    database_url: str,
    folder: Path,
    *,
    seconds: float,
    seed: int,
) -> tuple[list[WriterProcess], Turns]:
    """Storm over accounts that hold little, then look at everything; what the two rivals waited for."""
    for account, credits in CREDITS.items():
        await ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
        await ledger.execute(c.AcceptTerms(account, "1", credits), key=f"terms:{account}")
    before = (await ledger.read.head()).position
    writers = await storm(database_url, folder, seconds=seconds, seed=seed)
    told = Told(writer.diary for writer in writers)
    log = await audit(pool, told, before)
    assert len(log) > 100, "hardly anything was written"
    assert told.refused["InsufficientCreditsError"] > 10, "the accounts were never short of credits"
    for writer in writers:
        writer.diary.close()
    return writers, turns_of(log, {writer.name: writer.disturbed for writer in writers[:RIVALS]})


async def audit(pool: "asyncpg.Pool[asyncpg.Record]", told: Told, before: int) -> list[Recorded]:
    """The log holds what the writers were told, once, and nothing else; its events after `before`."""
    reader = LogReader(pool)
    log = [event async for event in reader.scan()]
    assert [event.position for event in log] == list(range(1, len(log) + 1)), "a gap"
    assert await pool.fetch("SELECT * FROM audit.chain_breaks") == []
    assert await check_ledger(pool) == []

    stands = {
        e.key: Receipt(e.position, e.command_events or 0, e.recorded_at_us) for e in log[before:] if e.key
    }
    assert {key: {receipt} for key, receipt in stands.items()} == told.receipts, "lost, doubled or invented"
    assert set(told.asked) == told.only_refused | set(told.receipts), "somebody never got an answer"

    _never_overdrawn(log)
    held = {account: (await reader.account(account)).balance for account in CREDITS}
    assert held == told.balances()
    return log[before:]


def _never_overdrawn(log: Iterable[Recorded]) -> None:
    """Looking at every event's transfer alone; and no job was charged or repaid twice."""
    books = Books()
    once: Counter[tuple[str, str]] = Counter()
    for recorded in log:
        transfer = books.record(recorded)
        if transfer is not None and transfer.source.startswith("user:"):
            assert books[transfer.source] >= 0, recorded
        event = decode(recorded)
        if isinstance(event, CreditsCharged | CreditsRefunded):
            once[recorded.type, event.job] += 1
    assert set(once.values()) == {1}
    assert imbalances(books) == []
