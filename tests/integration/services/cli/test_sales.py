"""`neurocards sales`: the pause and its end, confirmed, once, with who and why."""

import asyncio
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

from ledger.log.ledger import Ledger
from ledger.system.commands import CheckDayCap
from ledger.system.decider import day_of
from projections.reports.event_text import day as when
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment


async def test_sales_are_paused_and_resumed_by_command(
    tmp_path: Path, database_url: str, ledger: Ledger
) -> None:
    env = clean_environment(DATABASE_URL=database_url, COST_CAP_PER_DAY="900")

    async def sales(*words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(partial(neurocards, ["sales", *words], cwd=tmp_path, env=env))

    async def status() -> dict[str, Any]:
        (row,) = json.loads((await sales("status", "-o", "json")).stdout)
        return dict(row)

    assert await status() == {
        "sales": "open", "since": None, "said_last": "", "cost_cap_per_day": 900, "welcome_cap_per_day": None
    }  # fmt: skip
    pause = ("pause", "--reason", "the price is wrong")
    assert (await sales(*pause)).returncode == 2 and (await sales(*pause, "--dry-run")).returncode == 0
    assert (await status())["sales"] == "open"
    assert "done at position" in (await sales(*pause, "--yes")).stderr
    assert "it is so already" in (await sales(*pause, "--yes")).stderr
    paused = await status()
    assert paused["sales"] == "paused" and "the price is wrong, by login:" in paused["said_last"]
    resume = ("resume", "--reason", "it is right", "--yes")
    assert "done at position" in (await sales(*resume)).stderr
    day = day_of(ledger.now_us())
    await ledger.execute(CheckDayCap("cost", day, 900_000, 900_000), key="cap")
    assert (await status())["sales"] == "over the day's cost cap"
    assert f"cost cap of {when(day * 86_400_000_000)} lifted" in (await sales(*resume)).stderr
    assert (await status())["sales"] == "open"
