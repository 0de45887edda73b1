"""`neurocards payments list|show|reconcile|refund|accept`: money that came in, and what is done by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli.confirm import Actor, DryRun, Reason, Yes, confirm
from services.cli.errors import ExitCode
from services.cli.options import Limit
from services.cli.output import Output, OutputFormat, emit, say
from services.cli.timespec import FromTime, clock, iso, optional_us, timed

if TYPE_CHECKING:
    from ledger.postgres import Pool
    from services.payments.reconciliation import Report
    from services.payments.refunds import RefundPlan, Sent
    from services.platform.settings import Settings

State = Literal[
    "ordered", "pending", "succeeded", "cancelled", "expired", "flagged", "refunding", "refunded_partly",
    "refunded", "open",
]  # fmt: skip
Payment = Annotated[
    str, typer.Argument(metavar="PAYMENT", help="A payment's id: ours, or the provider's if it was paid.")
]


def register(app: typer.Typer) -> None:
    payments = typer.Typer(name="payments", no_args_is_help=True, help="Money that came in, and goes back.")
    payments.command("list")(list_payments)
    payments.command("show")(show)
    payments.command("reconcile")(reconcile)
    payments.command("refund")(refund)
    payments.command("accept")(accept)
    app.add_typer(payments)


def list_payments(
    state: Annotated[
        State | None, typer.Option("--state", help="Only in this state; `open`: those that wait for money.")
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Only a user's payments.")] = None,
    provider: Annotated[
        Literal["yookassa", "stars"] | None, typer.Option(help="Only payments made this way.")
    ] = None,
    since: FromTime = None,
    limit: Limit = 50,
    output: Output = OutputFormat.table,
) -> None:
    """Payments, the newest first, as the read model has them. Money is in kopecks, or Stars."""
    from services.cli.commands.payments.queries import WantedPayments, find_payments
    from services.cli.connections import read
    from services.cli.resolve_account import resolve_account

    begin_us = optional_us(since, "--from")

    async def work(pool: Pool, settings: Settings) -> list[dict[str, Any]]:
        account = None if user is None else await resolve_account(settings, user)
        return await find_payments(pool, WantedPayments(state, account, provider, begin_us, limit))

    found = read("payments", work)
    when = clock if output is OutputFormat.table else iso
    emit([timed(row, when) for row in found], output)
    say(f"{len(found)} payments" if len(found) < limit else f"the newest {limit}; raise --limit for more")


def show(payment: Payment, output: Output = OutputFormat.table) -> None:
    """What happened to one payment, event by event."""
    from services.cli.commands.payments.queries import history
    from services.cli.connections import read

    async def work(pool: Pool, settings: Settings) -> list[dict[str, Any]]:
        return await history(pool, payment)

    when = clock if output is OutputFormat.table else iso
    rows = read("payments", work)
    emit([{"time": when(row.pop("time_us")), **row} for row in rows], output)


def reconcile(
    provider: Annotated[
        Literal["yookassa", "stars"],
        typer.Option(help="Whose book: YooKassa's, or Telegram's list of Stars."),
    ] = "yookassa",
    days: Annotated[
        int | None,
        typer.Option(min=1, max=366, help="How many days back; PAYMENTS_COMPARE_DAYS if left out."),
    ] = None,
    output: Output = OutputFormat.table,
) -> None:
    """Compare the provider's book with the ledger, and credit what had escaped us.

    3: somebody must look. 5: all that could be judged is in order, but some records could not be.
    """
    import asyncio

    from services.adapters.telegram.lazy_models import build_when_used
    from services.cli.environment import prepare

    build_when_used()
    from services.cli.commands.payments.actions import operator

    settings = prepare("payments")
    back = days or settings.payments_compare_days
    say(f"reading payments and refunds of the last {back} days from {provider}…")

    async def work() -> Report:
        async with operator(settings) as desk:
            return await desk.compare(provider, back)

    report = asyncio.run(work())
    emit([_difference(found) for found in report.differences], output)
    left = len(report.open_differences)
    say(
        f"{report.payments} payments and {report.refunds} refunds compared; "
        f"{len(report.differences)} differences, {left} of them for you to look at, "
        f"{report.unjudged} that could not be judged (docs/payments.md)"
    )
    if left:
        raise typer.Exit(ExitCode.INTEGRITY)
    if report.unjudged:
        raise typer.Exit(ExitCode.PARTLY)


def refund(
    payment: Payment,
    reason: Reason,
    actor: Actor,
    credits: Annotated[
        int | None, typer.Option(min=1, help="Send back the price of so many credits; all if left out.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", help="Name this refund: asking twice with one name is asking once."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Send a payment's money back and take its credits. 5: nobody knows yet whether the money went.

    Stars go back as a whole.
    """
    import asyncio

    from services.adapters.telegram.lazy_models import build_when_used
    from services.cli.environment import prepare

    build_when_used()
    from services.cli.commands.payments.actions import KEY, operator

    if key is not None and not KEY.fullmatch(key):
        raise typer.BadParameter("1 to 64 letters, digits, - and _", param_hint="--key")
    settings = prepare("payments")

    async def work() -> Sent:
        async with operator(settings) as desk:
            if key is not None and not dry_run and (sent := await desk.done_before(payment, key)):
                say("this refund was begun before")
                return sent
            plan = await desk.plan_refund(payment, credits, key, look=not dry_run)
            emit([_plan(plan)], output)
            confirm(dry_run, yes)
            say(f"refund {plan.refund}; to ask again without doing it again: --key {plan.refund}")
            return await desk.refund(plan, actor, reason)

    _end(asyncio.run(work()))


def accept(
    payment: Payment,
    credits: Annotated[int, typer.Option(min=1, help="How many credits the money buys.")],
    reason: Reason,
    actor: Actor,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Give credits for flagged money, as bought: they end and are refunded as the package's would."""
    import asyncio

    from ledger.payments.commands import AcceptPayment, key_of
    from services.cli.commands.payments.queries import flagged_money, payment_named
    from services.cli.connections import open_ledger
    from services.cli.environment import prepare

    settings = prepare("payments")

    async def work() -> None:
        async with open_ledger(settings) as (ledger, pool):
            name = await payment_named(pool, payment)
            row = flagged_money(name, await ledger.read.payment(name))
            emit([row | {"credits": credits}], output)
            confirm(dry_run, yes)
            account, provider_payment = row["account"], row["provider_payment"]
            command = AcceptPayment(name, account, provider_payment, credits, actor, reason)
            await ledger.execute(command, key=key_of(command))

    asyncio.run(work())
    say("done")


def _end(sent: Sent) -> None:
    match sent:
        case "refunded":
            say("done")
        case "over":
            say("it has come to its end; `neurocards payments show` tells to which")
        case "refused":
            say("the provider refused; the credits are back, and the log says why")
            raise typer.Exit(ExitCode.FAILURE)
        case _:
            say("not known yet: the credits are reserved, and maintenance goes on until it is known")
            raise typer.Exit(ExitCode.PARTLY)


def _plan(plan: RefundPlan) -> dict[str, Any]:
    import msgspec

    lots = ", ".join(f"{amount} of lot {lot}" for lot, amount in plan.lots.items())
    return msgspec.structs.asdict(plan) | {"lots": lots, "below_zero": max(-plan.balance_after, 0)}


def _difference(found: Any) -> dict[str, Any]:
    import msgspec

    return msgspec.structs.asdict(found)
