"""`neurocards top` on real servers, and on a real terminal."""

import asyncio
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from projections.models.statistics import ERROR_STATS
from services.generation.provider_limits import ProviderLimits, look, note_balances
from services.streams.publisher.rebuild import Rebuild
from services.streams.publisher.scripts import Scripts
from tests.integration.services.cli.conftest import Done, Run
from tests.support.services import ROOT, clean_environment
from tests.support.traffic import Traffic

AWAY = "redis://127.0.0.1:1/0"


async def top(run: Run, **env: str) -> tuple[Done, dict[str, Any]]:
    """One look while the test's loop turns, as a program reads it."""
    done = await asyncio.to_thread(lambda: run("top", "-o", "json", **env))
    return done, done.rows[0]


async def test_one_look_tells_what_the_servers_know(
    run: Run, traffic: Traffic, ledger, pool, redis: Redis, redis_url: str
):
    await traffic.play(60)
    for projection in (JOB_STATUS, ERROR_STATS):
        await Runner(pool, projection).apply(await ledger.read.events_after(0))
    await traffic.order(3)
    await Rebuild(pool, Scripts(redis, ledger_entries_max=1000), entries=1000, reach_back=0).run()
    limits = ProviderLimits(redis)
    await limits.turn("job", "user", ["k1", "k2"])
    await limits.rest("k2")
    await note_balances(redis, {"k1": Decimal("12.5")})

    done, facts = await top(run, REDIS_URL=redis_url)

    assert done.code == 0, done.err
    head = await pool.fetchval("SELECT max(position) FROM events")
    log, waiting = facts["log"], facts["log"]["waiting"]
    assert (facts["head"], log["throughput"]["events"], log["throughput"]["seconds"]) == (head, head, 60.0)
    assert sum(log["jobs"].values()) == await pool.fetchval("SELECT count(*) FROM open_jobs")
    assert log["jobs"]["queued"] >= 3 and log["oldest"]["left_s"] > 0
    failed = await pool.fetchval("SELECT sum(jobs_failed) FROM error_stats")
    assert failed > 0 and sum(line["jobs"] for line in log["errors"]) == failed
    assert waiting["dead_letters"] >= 0 and waiting["verified_s"] is None
    relay = next(line for line in facts["readers"] if line["reader"] == "relay")
    assert relay["lag"] == 0 and {line["tail"] for line in facts["streams"]} == {"as the log"}
    well, resting = facts["provider"]["accounts"]
    assert (well["account"], well["credits"], well["creations"], well["rests_s"]) == ("k1", 12.5, 1, 0)
    assert (resting["account"], resting["credits"]) == ("k2", None) and resting["rests_s"] > 0

    shown = await asyncio.to_thread(lambda: run("top", REDIS_URL=redis_url))
    assert "who follows the log" in shown.out and "\x1b" not in shown.out


async def test_a_server_that_is_away_is_said_and_ends_with_1(run: Run, traffic: Traffic, redis_url: str):
    await traffic.open_accounts(1)
    await traffic.order(2)
    done, facts = await top(run, REDIS_URL=AWAY)
    assert done.code == 1 and "Redis does not answer" in done.err and facts["head"] > 0
    assert facts["log"]["jobs"] == {"queued": 2} and facts["provider"] is None
    done, facts = await top(run, REDIS_URL=redis_url, DATABASE_URL="postgresql://me@127.0.0.1:1/x")
    assert done.code == 1 and "Postgres does not answer" in done.err and facts["log"] is None


async def test_a_balance_that_nobody_can_read_any_more_is_left_out(redis: Redis):
    await note_balances(redis, {"k1": Decimal(1)})
    await redis.hset("{neurocards}:kie:balances", "gone", "7.0 1000")
    accounts, waiting = await look(redis, 10.0)
    assert ([account.account for account in accounts], waiting) == (["k1"], 0)
    await note_balances(redis, {})


_ON_TERMINAL = """
import fcntl, runpy, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that keys and the window's size come as signals
runpy.run_module("services.cli", run_name="__main__")
"""


class Terminal:
    """A command on a terminal of 100 columns and 60 lines."""

    def __init__(self, folder: Path, *words: str, **env: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(60, 100)
        self.before = termios.tcgetattr(theirs)
        self._theirs = theirs
        self.shown = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *words], cwd=folder, stdin=theirs, stdout=theirs,
            stderr=theirs, env=clean_environment(PYTHONPATH=ROOT, TERM="xterm-256color", COLUMNS=70, **env),
            start_new_session=True,
        )  # fmt: skip
        os.set_blocking(self._ours, False)

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    async def until(self, seen: Callable[[bytes], bool]) -> None:
        """Until what was shown since the last call is so."""
        self.shown = b""
        for _ in range(1500):
            self.read()
            if seen(self.shown):
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"not seen in {self.shown[-3000:].decode(errors='replace')!r}")

    def read(self) -> None:
        with suppress(BlockingIOError):
            self.shown += os.read(self._ours, 100_000)

    async def end(self) -> int:
        """How it ended; the terminal must be as it was."""
        async with asyncio.timeout(60):
            while self.process.poll() is None:
                await asyncio.sleep(0.02)
                self.read()
        self.read()
        assert termios.tcgetattr(self._theirs) == self.before
        return self.process.returncode

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._theirs)
        os.close(self._ours)


@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 130)])
async def test_on_a_terminal_it_goes_on_until_a_key_and_leaves_it_clean(
    key: bytes, code: int, tmp_path: Path, database_url: str, redis_url: str, traffic: Traffic
):
    words = ("top", "--every", "0.2")
    with Terminal(tmp_path, *words, DATABASE_URL=database_url, REDIS_URL=redis_url) as terminal:
        await terminal.until(lambda shown: b"\x1b[?1049h" in shown and b"log at 0" in shown)
        await traffic.open_accounts(1)
        await traffic.order(1)
        await terminal.until(lambda shown: b"1 queued" in shown)
        terminal.resize(60, 140)
        await terminal.until(lambda shown: "─" * 110 in shown.decode(errors="ignore"))
        terminal.type(key)
        assert await terminal.end() == code
        assert b"\x1b[?1049l" in terminal.shown and b"Traceback" not in terminal.shown
