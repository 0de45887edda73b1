"""`neurocards blobs migrate`: photos and videos from the store of before into the one of now."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from services.cli.commands import add_group
from services.cli.connections import prepare
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.progress import shares

AT_ONCE: Final = 8
_PART: Final = "photos and videos"
_TOLD: Final = 20


def register(app: typer.Typer) -> None:
    add_group(app, "blobs", "Photos and videos: from one store into another.", {"migrate": migrate})


def migrate(
    delete: Annotated[
        bool,
        typer.Option(
            "--delete", help="Also delete each in the former store, once both give the same SHA-256."
        ),
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Copy photos and videos from BLOBS_FORMER_URL into BLOBS_URL.

    Everything may run meanwhile, with both set. Each copy is read back and compared by its SHA-256. Ended in
    the middle, it goes on where it was when run again. 5 when something stays behind.
    """
    import asyncio

    from services.platform.blob_stores import MovingBlobs, open_blobs
    from services.platform.errors import SettingsError

    settings: Any = prepare("blobs migrate")
    blobs = open_blobs(settings)
    if not isinstance(blobs, MovingBlobs):
        raise SettingsError(["BLOBS_FORMER_URL: there is no former store, so nothing is to be copied"])
    row = asyncio.run(_migrate(blobs, delete=delete, dry_run=dry_run, yes=yes))
    emit([row], output)
    if row["left"]:
        raise typer.Exit(ExitCode.PARTLY)


async def _migrate(blobs: Any, *, delete: bool, dry_run: bool, yes: bool) -> dict[str, int]:
    import asyncio
    from collections import Counter

    found = [facts async for facts in blobs.former.all()]
    total, done = sum(facts.size_bytes for facts in found), 0
    say(f"{len(found)} photos and videos with {total / 1e6:.1f} MB in the former store")
    confirm(dry_run, yes)
    counts: Counter[str] = Counter()
    waiting = iter(found)

    with shares("blobs", (_PART,)) as progress:

        async def work() -> None:
            nonlocal done
            for facts in waiting:
                said = await blobs.move(facts, delete=delete)
                done += facts.size_bytes
                progress(_PART, done, total)
                known = said in ("copied", "there", "erased")
                counts[said if known else "left"] += 1
                if not known and counts["left"] <= _TOLD:
                    say(f"{facts.key} {said}")

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return {name: counts[name] for name in ("copied", "there", "erased", "left")}
