"""Fill an empty ledger with millions of valid, chained events in a minute or two.

    python -m tests.bench.big_log DATABASE_URL 10_000_000

The rules make one account's whole life: it is opened, given and sold credits, orders videos, some of which
fail and are refunded, until every job has ended. Each account then lives that life under its own ids and at
its own times, interleaved with hundreds of others, in one chain. A log of 10 million events has about 50,000
accounts with 27 jobs each and no open job. Indexes are built at the end.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import msgspec

from events.codec import encode
from events.envelope import GENESIS, Cursor, Recorded
from events.job import Failure, Video
from ledger import commands as c
from ledger.decider import State, decide, evolve, initial, streams_read
from ledger.log.hash_chain import event_hash

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

_BASE_US = 1_700_000_000_000_000
"""Where the one life is lived that all are copied from; the last of the copies ends as the log is filled."""

STEP_US = 60_000_000
"""Between two commands of one account."""

JOBS_PER_LIFE = 27
ABREAST = 500
"""So many accounts live at the same time."""

_ACCOUNT = "@"
_WRITER = "neurocards_operator"
_TIME = re.compile(r"\b17\d{14}\b")


class Step(NamedTuple):
    """One event of a life. `pieces` is its data, cut where a time stands; `times_us` are those times."""

    stream: str
    version: int
    type: str
    pieces: tuple[str, ...]
    times_us: tuple[int, ...]
    key: str | None
    command_events: int | None
    recorded_at_us: int


def life(commands: Sequence[tuple[str, c.Command]]) -> list[list[Step]]:
    """What the rules make of (key, command) pairs one after another, a minute apart: steps per command.

    Wherever an id has to differ between accounts it must hold "@".
    """
    known: dict[str, tuple[int, State]] = {}
    done: list[list[Step]] = []
    for n, (key, command) in enumerate(commands):
        now_us = _BASE_US + n * STEP_US
        view = {s: known.get(s, (0, initial(s)))[1] for s in streams_read(command)}
        made = decide(view, command, now_us)
        steps: list[Step] = []
        for stream, event in made:
            version, state = known.get(stream, (0, initial(stream)))
            known[stream] = (version + 1, evolve(state, event))
            data = encode(event)
            steps.append(
                Step(
                    stream,
                    version + 1,
                    type(event).__name__,
                    tuple(_TIME.split(data)),
                    tuple(int(found) for found in _TIME.findall(data)),
                    None if steps else key,
                    None if steps else len(made),
                    now_us,
                )
            )
        done.append(steps)
    return done


def customer(jobs: int = JOBS_PER_LIFE, fails_every: int = 9) -> Iterator[tuple[str, c.Command]]:
    """An account that buys credits now and then and has every job done or refunded: keys and commands."""
    account = _ACCOUNT
    yield f"open:{account}", c.OpenAccount(account, "0" * 64)
    yield f"terms:{account}:1", c.AcceptTerms(account, "1", 2)
    for n in range(jobs):
        if n % 10 == 0:
            payment = f"pay{account}{n:04d}"
            yield f"payment:yookassa:{payment}", c.GrantCredits(account, 12, "purchase", "package", payment)
        yield from _job(account, f"{account}{n:06d}", fails=n % fails_every == fails_every - 1)


def _job(account: str, job: str, *, fails: bool) -> Iterator[tuple[str, c.Command]]:
    order, photo, brief = f"o{job}", f"photos/{job}.jpg", f"b{job}"
    model = "bytedance/seedance-2-fast"
    ordered = c.OrderVideos(account, order, (job,), 1, model, "ugc", photo, brief, "ru", 900)
    yield f"order:{order}", ordered
    yield f"start:{job}:1", c.StartJob(job, 1, "worker-1")
    yield f"prompt:{job}:1", c.RecordPrompt(job, 1, f"p{job}", "openai", "ugc-2")
    yield f"intend:{job}:1", c.IntendSubmission(job, 1, 1, "k1", model)
    task = f"task{job}"
    yield f"accept:{job}:1:{task}", c.RecordAccepted(job, 1, task)
    if fails:
        failure = Failure("user_violation", "422", ref="0123456789abcdefghijklmn")
        yield f"fail:{job}:worker1", c.FailJob(job, account, "worker", failure, 1)
    else:
        video = Video(f"videos/{job}.mp4", sha256(job.encode()).hexdigest(), 4_200_000)
        yield f"succeed:{job}:1", c.SucceedJob(job, 1, 1, video)


class Copier:
    """Writes lives as lines of COPY's text format, in one chain."""

    def __init__(self) -> None:
        self.cursor: Cursor = GENESIS
        self.accounts = 0

    def abreast(self, steps: Sequence[Sequence[Step]], count: int, begin_us: int) -> Iterator[bytes]:
        """The lives of `count` new accounts side by side, from `begin_us` on; a piece per command."""
        names = [f"{self.accounts + n:08x}" for n in range(count)]
        self.accounts += count
        for command in steps:
            later_us = begin_us - _BASE_US
            yield "".join(
                [self._line(step, name, later_us + n) for n, name in enumerate(names) for step in command]
            ).encode()

    def _line(self, step: Step, name: str, later_us: int) -> str:
        position = self.cursor.position + 1
        stream = step.stream.replace(_ACCOUNT, name)
        data = step.pieces[0]
        for at_us, piece in zip(step.times_us, step.pieces[1:], strict=True):
            data += str(at_us + later_us) + piece
        data = data.replace(_ACCOUNT, name)
        key, body_hash, command = None, None, "\\N\t\\N\t\\N\t\\N"
        if step.key is not None:
            key = step.key.replace(_ACCOUNT, name)
            body_hash = sha256(key.encode()).digest()
            command = f"{key}\t\\\\x{body_hash.hex()}\t{step.command_events}\t{_WRITER}"
        recorded_at_us = step.recorded_at_us + later_us
        row = Recorded(
            position, stream, step.version, step.type, data, key, body_hash, step.command_events,
            _WRITER if step.key is not None else None, recorded_at_us, b"",
        )  # fmt: skip
        digest = event_hash(self.cursor.hash, row)
        self.cursor = Cursor(position, digest)
        return (
            f"{position}\t{stream}\t{step.version}\t{step.type}\t{data}\t{command}"
            f"\t{recorded_at_us}\t\\\\x{digest.hex()}\n"
        )


class BigLog(msgspec.Struct):
    """What was written."""

    events: int
    accounts: int
    head: Cursor
    begin_us: int
    seconds: float


async def fill(
    database_url: str,
    events: int,
    *,
    commands: Sequence[tuple[str, c.Command]] | None = None,
    abreast: int = ABREAST,
) -> BigLog:
    """At least so many events into the empty log of a migrated database, indexes and statistics included.

    Needs the owner's rights. Accounts are named 00000000, 00000001, … in hexadecimal; each lives `commands`,
    those of `customer()` if none are given.
    """
    begin = time.perf_counter()
    steps = life(commands or list(customer()))
    if any("\\" in piece for command in steps for step in command for piece in step.pieces):
        raise ValueError("data with a backslash needs escaping for COPY; use plainer texts")
    connection: Connection = await asyncpg.connect(database_url)
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM events)"):
            raise ValueError("the log is not empty")
        await connection.execute("SET maintenance_work_mem = '512MB'; SET synchronous_commit = off")
        copier = Copier()
        lives = -(-events // sum(len(command) for command in steps))
        begin_us = time.time_ns() // 1000 - -(-lives // abreast) * STEP_US * len(steps)
        async with connection.transaction():
            rebuild = await _drop_indexes(connection)
            columns = (
                "position stream version type data key body_hash command_events writer recorded_at_us hash"
            )
            await connection.copy_to_table(
                "events", source=_pieces(copier, steps, lives, abreast, begin_us), columns=columns.split()
            )
            for statement in rebuild:
                await connection.execute(statement)
        await connection.execute("VACUUM (ANALYZE) events")
    finally:
        await connection.close()
    seconds = time.perf_counter() - begin
    return BigLog(copier.cursor.position, copier.accounts, copier.cursor, begin_us, seconds)


async def _pieces(
    copier: Copier, steps: Sequence[Sequence[Step]], lives: int, abreast: int, begin_us: int
) -> AsyncIterator[bytes]:
    while lives > 0:
        for piece in copier.abreast(steps, min(lives, abreast), begin_us):
            yield piece
        lives -= abreast
        begin_us += STEP_US * len(steps)


async def _drop_indexes(connection: "Connection") -> list[str]:
    """Drop what makes a bulk load slow; the statements that bring it back."""
    again: list[str] = []
    constraints = await connection.fetch(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'events'::regclass AND contype IN ('p', 'u')"
    )
    for name, definition in constraints:
        await connection.execute(f"ALTER TABLE events DROP CONSTRAINT {name}")
        again.append(f"ALTER TABLE events ADD CONSTRAINT {name} {definition}")
    indexes = await connection.fetch(
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
        " WHERE indrelid = 'events'::regclass"
    )
    for name, definition in indexes:
        await connection.execute(f"DROP INDEX {name}")
        again.append(definition)
    return again


if __name__ == "__main__":
    written = asyncio.run(fill(sys.argv[1], int(sys.argv[2])))
    print(f"{written.events:,} events, {written.accounts:,} accounts, {written.seconds:.0f} s")  # noqa: T201
