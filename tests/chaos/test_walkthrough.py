"""The walk-through of docs/operations.md: what stands there is typed, and must do what is said."""

import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.rehearsal.chat_client import Chat, open_http
from services.rehearsal.seller import Product, Seller, photo_of
from services.rehearsal.system import Stack
from tests.support.servers import short_folder
from tests.support.services import ROOT, clean_environment
from tests.support.waiting import eventually_now

STARTS = "make run"
ORDERS = "# in the chat: order a video"
SANDBOX = "http://127.0.0.1:8081"
USER = 4242
DEADLINE_S = 900
"""What `make run` gives a job: no line waits for that, however slow the machine."""


def lines() -> list[str]:
    """The commands, in order."""
    text = (
        Path(ROOT, "docs/operations.md").read_text().partition("\n## Walk-through\n")[2].partition("\n## ")[0]
    )
    return re.findall(r"^    (\S.*)$", text, re.MULTILINE)


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    with short_folder() as folder:
        async with Stack(folder, JOB_DEADLINE_SECONDS=DEADLINE_S) as running:
            yield running


class Terminal:
    """The second one: variables stay from command to command."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._variables = stack.folder / "variables"
        self._variables.touch()

    def type(self, line: str) -> str:
        """What it prints. AssertionError when it ends with another code than 0."""
        program = f'neurocards() {{ {shlex.quote(sys.executable)} -m services.cli "$@"; }}'
        whole = f". {self._variables}; {program}; {line}; code=$?; set > {self._variables}.new; exit $code"
        env = clean_environment(
            PYTHONPATH=ROOT, NEUROCARDS_DATA_DIR=self._stack.data.root, JOB_DEADLINE_SECONDS=DEADLINE_S
        )
        done = subprocess.run(
            ["bash", "-c", whole], cwd=self._stack.folder, env=env,
            capture_output=True, text=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        kept = re.findall(r"^(?:ACCOUNT|JOB|YESTERDAY)=.*$", Path(f"{self._variables}.new").read_text(), re.M)
        self._variables.write_text("\n".join(kept))
        return done.stdout


def test_it_begins_with_a_start_and_goes_through_everything() -> None:
    words = " ".join(lines())
    assert lines()[0] == STARTS
    for part in ("drill", "streams rebuild", "replay", "explain", "statement", "prove", "restore", "recover"):
        assert f" {part} " in words


@pytest.mark.chaos
@pytest.mark.timeout(2 * DEADLINE_S)
async def test_what_stands_there_works(stack: Stack) -> None:
    terminal, said = Terminal(stack), {}

    def ended() -> int:
        rows = terminal.type("neurocards jobs list -o jsonl").splitlines()
        return sum('"succeeded"' in row or '"failed"' in row for row in rows)

    async with open_http(60) as http:
        seller = Seller(Chat(http, stack.sandbox_url, USER))
        for line in lines()[1:]:
            if line == ORDERS:
                before = ended()  # a drill's are among them
                await seller.begin()
                confirm = await seller.draft(Product("Tea cup", photo_of((200, 40, 40), (30, 60, 190))))
                await seller.results(await seller.order(confirm), 1, DEADLINE_S)
                eventually_now(lambda: ended() > before, DEADLINE_S)  # noqa: B023
            else:
                said[line] = terminal.type(line.replace(SANDBOX, stack.sandbox_url))
    assert "user_violation" in said["neurocards ledger explain $JOB"]
    assert "JobFailed" in said["neurocards ledger verify-proof proof.json --public-key key.pub"]
    statement = said["neurocards ledger statement $ACCOUNT"]
    # 2 were given and 5 granted; the first order, that before `yesterday` and the last stand.
    assert re.search(r"closing\s+4\b", statement), statement
