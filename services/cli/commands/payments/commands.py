"""`neurocards payments list|show|reconcile|refund|accept`: money, and what is done by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from services.cli.commands import add_group
from services.cli.connections import acting, open_ledger, prepare, read, run
from services.cli.errors import ExitCode
from services.cli.options import DryRun, Limit, Reason, Yes, confirm
from services.cli.output import Output, OutputFormat, emit, say, say_count
from services.cli.resolve_account import read_account
from services.cli.timespec import FromTime, optional_us, timed_for

if TYPE_CHECKING:
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
    commands = {
        "list": list_payments,
        "show": show,
        "reconcile": reconcile,
        "refund": refund,
        "accept": accept,
    }
    add_group(app, "payments", "Money that came in, and goes back.", commands)


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
    """List payments, the newest first, from the read model. Money is in kopecks, or Stars."""
    from services.cli.commands.payments.queries import WantedPayments, find_payments

    begin_us = optional_us(since, "--from")
    found = read_account(
        "payments",
        user,
        lambda pool, account: find_payments(pool, WantedPayments(state, account, provider, begin_us, limit)),
    )
    emit([timed_for(row, output) for row in found], output)
    say_count(len(found), limit, "payments")


def show(payment: Payment, output: Output = OutputFormat.table) -> None:
    """Show one payment, event by event."""
    from services.cli.commands.payments.queries import history

    rows = read("payments", lambda pool, _: history(pool, payment))
    emit([timed_for({"time_us": row.pop("time_us"), **row}, output) for row in rows], output)


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
    """Reconcile the provider's book with the ledger; credit payments we missed.

    3: an operator must look. 5: all that could be judged is in order, but some records could not be.
    """
    import asyncio

    from services.adapters.telegram.lazy_models import build_when_used

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
    """Refund a payment (Stars: as a whole) and take its credits. 5: not known yet whether the money went."""
    from services.adapters.telegram.lazy_models import build_when_used

    build_when_used()
    from services.cli.commands.payments.actions import KEY, operator

    if key is not None and not KEY.fullmatch(key):
        raise typer.BadParameter("1 to 64 letters, digits, - and _", param_hint="--key")

    actor = acting("payments")

    async def work(settings: Settings) -> Sent:
        async with operator(settings) as desk:
            if key is not None and not dry_run and (sent := await desk.done_before(payment, key)):
                say("this refund was begun before")
                return sent
            plan = await desk.plan_refund(payment, credits, key, look=not dry_run)
            emit([_plan(plan)], output)
            confirm(dry_run, yes)
            say(f"refund {plan.refund}; to ask again without doing it again: --key {plan.refund}")
            return await desk.refund(plan, actor, reason)

    _end(run("payments", work))


def accept(
    payment: Payment,
    credits: Annotated[int, typer.Option(min=1, help="How many credits the money buys.")],
    reason: Reason,
    dry_run: DryRun = False,
    yes: Yes = False,
    output: Output = OutputFormat.table,
) -> None:
    """Accept flagged money: credits as bought, which end and are refunded as the package's would."""
    from ledger.payments.commands import AcceptPayment, key_of
    from services.cli.commands.payments.queries import flagged_money, payment_named

    actor = acting("payments")

    async def work(settings: Settings) -> None:
        async with open_ledger(settings) as (ledger, pool):
            name = await payment_named(pool, payment)
            row = flagged_money(name, await ledger.read.payment(name))
            emit([row | {"credits": credits}], output)
            confirm(dry_run, yes)
            account, provider_payment = row["account"], row["provider_payment"]
            command = AcceptPayment(name, account, provider_payment, credits, actor, reason)
            await ledger.execute(command, key=key_of(command))

    run("payments", work)
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
