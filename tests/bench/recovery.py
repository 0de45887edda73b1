"""What a seller waits when a process of `neurocards up` dies or freezes just before the order.

Nobody helps.

    python -m tests.bench.recovery [ROUNDS [killed|frozen]]

The settings are the defaults, but a video takes a second. Prints rows for docs/reliability.md.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from services.platform.settings import Settings, variable_name
from services.rehearsal.chat_client import Button, ChatError, Sandbox, open_http
from services.rehearsal.seller import Product, Seller, photo_of
from services.rehearsal.system import QUICK, Stack

_DIE = (
    "bot",
    "relay",
    "worker",
    "web",
    "notifier",
    "projector",
    "monitor",
    "maintenance",
    "valkey",
    "postgres",
)
_FREEZE = _DIE[:-2]
"""The servers are looked after by their own guards, which see an end only."""
_PATIENCE_S = 240


def defaults() -> dict[str, Any]:
    """Instead of a rehearsal's short leases and pauses."""
    own = {variable_name(name): field.default for name, field in Settings.model_fields.items()}
    return {name: own[name] for name in QUICK if name != "SANDBOX_RENDER_SECONDS" and own[name] is not None}


async def video_s(
    stack: Stack, sandbox: Sandbox, user: int, victim: str, how: signal.Signals | None
) -> float:
    """From the tap on "order", just after the strike, to the video in the chat."""
    seller = Seller(sandbox.chat(user))
    await seller.begin()
    confirm = await seller.draft(Product(f"Cup {user}", photo_of((40, 90, 160), (240, 200, 40))))
    if how is not None:
        os.kill(pid := stack.pid(victim), how)
    began_s = time.monotonic()
    order = await tapped(seller, confirm)
    await seller.results(order, 1, _PATIENCE_S)
    took_s = time.monotonic() - began_s
    if how is not None:
        await stack.back(victim, pid, _PATIENCE_S)
    return took_s


async def tapped(seller: Seller, confirm: Button) -> str:
    """A rehearsal's seller gives up after a minute; this one does not."""
    while True:
        with contextlib.suppress(ChatError):
            return await seller.order(confirm)


async def measure(folder: Path, rounds: int, only: str) -> None:
    stack = Stack(folder, FREE_CREDITS=1, **defaults())
    users = iter(range(600_001, 700_000))

    def told(what: str, waits_s: Sequence[float]) -> None:
        spread = f"{min(waits_s):.1f} to {max(waits_s):.1f}"
        sys.stdout.write(f"| {what} | {statistics.median(waits_s):.1f} | {spread} |\n")
        sys.stdout.flush()

    async with stack, open_http() as http:
        sandbox = Sandbox(http, stack.sandbox_url)
        await sandbox.change(small_videos=True)
        told("nothing", [await video_s(stack, sandbox, next(users), "", None) for _ in range(rounds)])
        for what, victims, how, times in (
            ("killed", _DIE, signal.SIGKILL, rounds), ("frozen", _FREEZE, signal.SIGSTOP, 1),
        ):  # fmt: skip
            for victim in victims if only in ("", what) else ():
                waits_s = [await video_s(stack, sandbox, next(users), victim, how) for _ in range(times)]
                told(f"{victim} {what}", waits_s)


def main() -> None:
    told = dict(enumerate(sys.argv))
    rounds, only = int(told.get(1, 3)), told.get(2, "")
    with tempfile.TemporaryDirectory(prefix="recovery-") as name:
        Path(name).chmod(0o711)
        sys.stdout.write(
            f"load averages {os.getloadavg()}\n| | a seller waits, s (median) | |\n|---|--:|---|\n"
        )
        asyncio.run(measure(Path(name), rounds, only))
        sys.stdout.write(f"load averages {os.getloadavg()}\n")


if __name__ == "__main__":
    main()
