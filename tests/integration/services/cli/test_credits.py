"""Credits given and taken by hand: shown first, asked for, once per key, each an event with its actor."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from tests.support.each import each
from tests.support.fork_server import neurocards
from tests.support.services import clean_environment

WHY = ("--reason", "sorry for the wait")


class Desk:
    """Runs `neurocards credits …` without a terminal."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._env = clean_environment(DATABASE_URL=database_url)

    async def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, ["credits", *words], cwd=self._folder, env=self._env)


@pytest.fixture
async def desk(tmp_path: Path, database_url: str, ledger: Ledger) -> Desk:
    await ledger.execute(c.OpenAccount("a", "0" * 64), key="open:a")
    return Desk(tmp_path, database_url)


def row(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    (found,) = json.loads(done.stdout)
    return dict(found)


async def test_a_grant_is_shown_and_made_once_per_key(desk: Desk, ledger: Ledger):
    grant = ("grant", "a", "5", *WHY, "--key", "ticket-7", "-o", "json")
    shown = await desk.run(*grant, "--dry-run")
    assert (shown.returncode, row(shown)["balance_before"], row(shown)["balance_after"]) == (0, 0, 5)
    unconfirmed = await desk.run(*grant)
    assert unconfirmed.returncode == 2 and "--yes" in unconfirmed.stderr
    assert (await ledger.read.account("a")).balance == 0

    done = await desk.run(*grant, "--yes")
    assert done.returncode == 0 and "position 2" in done.stderr
    again = await desk.run(*grant, "--yes")
    assert again.returncode == 0 and "done before" in again.stderr and row(again)["done_at_position"] == 2
    other = await desk.run("grant", "a", "6", *WHY, "--key", "ticket-7", "--yes")
    assert other.returncode == 1 and "another command" in other.stderr

    events = await ledger.read.stream("account-a")
    assert len(events) == 2
    data = json.loads(events[1].data)
    assert (data["actor"], data["reason"], data["kind"]) == (
        "login:neurocards_operator",
        "sorry for the wait",
        "manual",
    )


async def test_a_revocation_may_leave_less_than_zero_and_says_so_first(desk: Desk, ledger: Ledger):
    await ledger.execute(c.GrantCredits("a", 2, "manual", "x"), key="grant")
    done = await desk.run("revoke", "a", "5", *WHY, "--yes", "-o", "json")
    assert done.returncode == 0
    assert (row(done)["balance_before"], row(done)["balance_after"]) == (2, -3)
    assert (await ledger.read.account("a")).debt == 3
    fraud = await desk.run("revoke", "a", "1", *WHY, "--money", "forfeited", "--yes", "-o", "json")
    assert fraud.returncode == 0
    data = [json.loads(event.data) for event in (await ledger.read.stream("account-a"))[-2:]]
    assert [event["money"] for event in data] == [None, "forfeited"], "what nobody said is unknown"


@each(
    ("words", "code", "says"),
    [
        (("grant", "nobody", "5", *WHY, "--yes"), 4, "there is no account"),
        (("grant", "a", "0", *WHY, "--yes"), 2, "CREDITS"),
        (("grant", "a", "2000000", *WHY, "--yes"), 1, "1 to 1000000"),
        (("grant", "a", "5", "--yes"), 2, "--reason"),
        (("grant", "a", "5", *WHY, "--expires", "2020-01-01", "--yes"), 1, "expire before"),
        (("grant", "a", "5", *WHY, "--expires", "12", "--yes"), 2, "--expires"),
        (("revoke", "a", "5", *WHY, "--money", "lost", "--yes"), 2, "--money"),
    ],
)
async def test_bad_input_changes_nothing_and_says_what_to_do(
    desk: Desk, ledger: Ledger, words: tuple[str, ...], code: int, says: str
):
    done = await desk.run(*words)
    assert done.returncode == code and says in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert (await ledger.read.head()).position == 1
