"""`neurocards ledger explain`: why something is as it is, from the payment to the message."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import clock, gap, iso

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from projections.reports.explain import Chain
    from services.platform.settings import Settings


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    name: Annotated[
        str, typer.Argument(metavar="ID", help="A job, order, payment, or a position (e.g. a charge's).")
    ],
    output: Output = OutputFormat.table,
) -> None:
    """The whole chain with times: payment, grant, charge, attempts, task, video or refund, message."""
    from projections.reports.causal_chain import explain as make
    from services.cli.connections import read

    async def work(pool: Pool, _: Settings) -> Chain:
        return await make(pool, name)

    found = read("explain", work)
    emit(_lines(found) if output is OutputFormat.table else _rows(found), output)
    say(_summary(found))
    if found.left_out:
        say(f"{found.left_out} jobs more drew from it and are left out")


def _summary(found: Chain) -> str:
    accounts = sorted({step.account for step in found.steps if step.account})
    whole_s = (found.steps[-1].at_us - found.steps[0].at_us) / 1e6
    of = f" of account {', '.join(accounts)}" if accounts else ""
    steps = f"{len(found.steps)} steps in {gap(whole_s)}" if len(found.steps) > 1 else "one step"
    return f"{found.kind} {found.id}{of}: {steps}"


def _gaps(found: Chain) -> list[float]:
    """Seconds since the step before."""
    times = [step.at_us for step in found.steps]
    return [0.0, *((later - earlier) / 1e6 for earlier, later in pairwise(times))]


def _rows(found: Chain) -> list[dict[str, Any]]:
    return [
        {
            "stage": step.stage,
            "at": iso(step.at_us),
            "gap_s": gap_s,
            "position": step.position,
            "type": step.type or None,
            "account": step.account,
            "job": step.job,
            "order": step.order,
            "payment": step.reference,
            "what": step.what,
            "data": None if step.data is None else json.loads(step.data),
        }
        for step, gap_s in zip(found.steps, _gaps(found), strict=True)
    ]


def _lines(found: Chain) -> list[dict[str, Any]]:
    several = len(found.jobs) > 1
    return [
        {
            "time": clock(step.at_us),
            "gap": f"+{gap(gap_s)}" if n else "",
            "position": "" if step.position is None else step.position,
            "stage": step.stage,
            **({"job": step.job or ""} if several else {}),
            "what": step.what,
        }
        for n, (step, gap_s) in enumerate(zip(found.steps, _gaps(found), strict=True))
    ]
