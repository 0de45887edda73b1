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
    from services.generation.catalogue import Catalogue
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

    emit([timed_for(row, output) for row in read("models", lambda pool, _: _rows(pool))], output)


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
    from services.cli.commands.stats.queries import PROVIDER, margin, parse_rates
    from services.generation import catalogue_check
    from services.generation.catalogue import load_catalogue
    from services.payments.packages import load_packages
    from services.platform.blobs import open_blobs

    if only is not None:
        _require_known(only, {})
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
    actor = acting("models")
    before, open_jobs = run("models", lambda settings: _plan(settings, model))
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


async def _rows(pool: Pool) -> list[dict[str, Any]]:
    """Models of the catalogue, and removed ones that still have a state."""
    from services.generation.catalogue import load_catalogue
    from services.generation.circuit_breaker.store import CircuitBook

    now_us, known = await CircuitBook(pool).read()
    catalogue = load_catalogue()
    slugs = [model.slug for model in catalogue.models]
    return [_row(slug, known, catalogue, now_us) for slug in [*slugs, *sorted(known.keys() - set(slugs))]]


async def _changes(pool: Pool, model: str | None, limit: int) -> list[dict[str, Any]]:
    import msgspec

    from services.generation.circuit_breaker.store import CircuitBook

    found = await CircuitBook(pool).changes(model, limit)
    if not found and model is not None:
        _require_known(model, {})
    return [msgspec.structs.asdict(change) for change in found]


async def _plan(settings: Settings, model: str) -> tuple[Circuit, int]:
    """The model's state, and its number of unfinished jobs. Raises NothingOfThatNameError."""
    from ledger.sql import load_queries
    from services.generation.circuit_breaker.rules import Circuit
    from services.generation.circuit_breaker.store import CircuitBook
    from services.platform.database import create_pool

    async with await create_pool(settings, "operator", max_size=1) as pool:
        _, known = await CircuitBook(pool).read()
        _require_known(model, known)
        open_jobs = await pool.fetchval(load_queries("services.cli.commands")("open_jobs_of_model"), model)
        return known.get(model) or Circuit(model), open_jobs


async def _apply(settings: Settings, model: str, state: str, actor: str, reason: str) -> Circuit:
    from services.generation.circuit_breaker.store import CircuitBook
    from services.platform.database import create_pool

    async with await create_pool(settings, "operator", max_size=1) as pool:
        book = CircuitBook(pool)
        change = book.pause if state == "paused" else book.resume
        return await change(model, actor, reason)


def _require_known(model: str, known: dict[str, Circuit]) -> None:
    from projections.engine.errors import NothingOfThatNameError
    from services.generation.catalogue import load_catalogue

    if model not in known and load_catalogue().model(model) is None:
        raise NothingOfThatNameError(f"there is no model {model!r}; see `neurocards models list`")


def _row(slug: str, known: dict[str, Circuit], catalogue: Catalogue, now_us: int) -> dict[str, Any]:
    from services.generation.circuit_breaker.rules import Circuit

    circuit, model = known.get(slug) or Circuit(slug), catalogue.model(slug)
    enabled = model is not None and model.enabled
    others = catalogue.candidates(model) if model is not None else ()
    well = (other.slug for other in others if (known.get(other.slug) or Circuit(other.slug)).available)
    alternative = (
        "" if enabled and circuit.available else next((other for other in well if other != slug), "")
    )
    return {
        "model": slug,
        "state": circuit.state if enabled else "not offered",
        "since_us": circuit.since_us or None,
        "set_by": circuit.actor or circuit.set_by if circuit.since_us else "",
        "reason": circuit.reason,
        "until_us": circuit.until_us,
        "probing": bool(circuit.half_open(now_us) and circuit.probe_job),
        "failures_in_a_row": circuit.failures,
        "alternative": alternative,
    }
