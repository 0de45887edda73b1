"""`neurocards models list|check|history|pause|resume`: video models, and what the provider says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli import shell_completion
from services.cli.commands import add_group
from services.cli.connections import acting, read, run
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Limit, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.timespec import iso, timed_for

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from services.generation.circuit_breaker.rules import Circuit
    from services.platform.settings import Settings

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", autocompletion=shell_completion.models, help="A model's slug, as in the list."
    ),
]
Only = Annotated[
    str | None, typer.Argument(metavar="MODEL", autocompletion=shell_completion.models, help="Only this one.")
]


def register(app: typer.Typer) -> None:
    commands = {"list": list_models, "check": check, "history": history, "pause": pause, "resume": resume}
    add_group(app, "models", "Which video models may be used; pausing one by hand.", commands)


def list_models(output: Output = OutputFormat.table) -> None:
    """List all models with their state. `alternative`: who makes its videos meanwhile."""
    from services.operations.models import model_rows

    emit([timed_for(row, output) for row in read("models", lambda pool, _: model_rows(pool))], output)


def check(
    model: Only = None,
    output: Output = OutputFormat.table,
) -> None:
    """Compare the catalogue with the provider's schemas and prices; exit code 3 when they differ.

    Asks two things of each offered model, one a second, free. `margin_minor` is of a video whose credits were
    sold in the cheapest package, in hundredths of what MARGIN_RATES are in.
    """
    from services.adapters.kie.errors import KieError
    from services.platform.errors import StartError

    try:
        rows = run("models", lambda settings: _checked(settings, model))
    except KieError as error:
        raise StartError(f"KIE does not tell of its models: {error}; `neurocards doctor` tries it") from error
    emit(rows, output)
    if differing := [row["model"] for row in rows if row["differs"]]:
        say(f"differ: {', '.join(differing)}; services/generation/catalogue.toml has what is ours")
        raise typer.Exit(ExitCode.INTEGRITY)


async def _checked(settings: Settings, only: str | None) -> list[dict[str, Any]]:
    import asyncio
    from decimal import Decimal

    from services.adapters.kie.gateway import Kie
    from services.generation import catalogue_check
    from services.generation.catalogue import load_catalogue
    from services.operations.models import require_known
    from services.operations.statistics import PROVIDER, margin, parse_rates
    from services.payments.packages import load_packages
    from services.platform.blob_stores import open_blobs

    if only is not None:
        require_known(only, {})
    sold = ((p.price("yookassa"), p.credits) for p in load_packages(settings))
    each = [Decimal(price.amount_minor) / credits for price, credits in sold if price]
    pause_s = 0.0 if settings.uses_sandbox_for("kie") else 1.1
    rates, rows = parse_rates(settings.margin_rates), list[dict[str, Any]]()
    async with Kie(settings, open_blobs(settings)) as kie:
        client = kie.client(kie.accounts[0])
        assert client is not None
        for model in load_catalogue().models:
            if only not in (None, model.slug) or not (model.enabled or only):
                continue
            found = catalogue_check.input_drift(model, await client.schema(model.slug))
            await asyncio.sleep(pause_s)
            price = catalogue_check.price_drift(model, await client.price_text(model.slug))
            await asyncio.sleep(pause_s)
            if price:
                found.append(f"price: ours is {model.provider_credits} for {model.duration_s} s; {price}")
            sold_for = int(model.price_credits * min(each, default=Decimal(0)))
            left = margin({"RUB": sold_for, PROVIDER: -model.provider_credits}, rates)
            ours = {"price_credits": model.price_credits, "provider_credits": model.provider_credits}
            row: dict[str, Any] = {"model": model.slug, **ours, "margin_minor": left}
            rows.append(row | {"differs": "\n".join(found)})
    return rows


def history(
    model: Only = None,
    limit: Limit = 50,
    output: Output = OutputFormat.table,
) -> None:
    """List changes of models' states, the newest first: who or what, why, when."""

    rows = read("models", lambda pool, _: _changes(pool, model, limit))
    emit([timed_for(row, output) for row in rows], output)
    say_count(len(rows), limit, "changes")


def pause(
    model: Model,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Pause a model until it is resumed. Every process obeys within seconds.

    What is rendered already goes on. Waiting jobs go to an alternative; without one they are refunded.
    """
    _change(model, "paused", reason, dry_run, yes, output)


def resume(
    model: Model,
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Resume a model: paused by hand, by the system, or failing."""
    _change(model, "available", reason, dry_run, yes, output)


def _change(model: str, state: str, reason: str, dry_run: bool, yes: bool, output: OutputFormat) -> None:
    async def plan(settings: Settings) -> tuple[Circuit, int]:
        from services.operations.models import plan_model_change
        from services.platform.database import create_pool

        async with await create_pool(settings, "operator", max_size=1) as pool:
            return await plan_model_change(pool, model)

    actor = acting("models")
    before, open_jobs = run("models", plan)
    row = {
        "model": before.model, "state_before": before.state, "state_after": state,
        "open_jobs": open_jobs, "reason": reason, "actor": actor,
    }  # fmt: skip
    emit([row], output)
    if before.state == state and (state == "available" or before.set_by == "operator"):
        say(f"{model} is {state} already; nothing was changed")
        return
    confirm(dry_run, yes)
    after = run("models", lambda settings: _apply(settings, model, state, actor, reason))
    say(f"{model} is {after.state} since {iso(after.since_us)}; every process obeys within seconds")


async def _changes(pool: Pool, model: str | None, limit: int) -> list[dict[str, Any]]:
    import msgspec

    from services.generation.circuit_breaker.store import CircuitBook
    from services.operations.models import require_known

    found = await CircuitBook(pool).changes(model, limit)
    if not found and model is not None:
        require_known(model, {})
    return [msgspec.structs.asdict(change) for change in found]


async def _apply(settings: Settings, model: str, state: str, actor: str, reason: str) -> Circuit:
    from services.generation.circuit_breaker.store import CircuitBook
    from services.platform.database import create_pool

    async with await create_pool(settings, "operator", max_size=1) as pool:
        book = CircuitBook(pool)
        change = book.pause if state == "paused" else book.resume
        return await change(model, actor, reason)
