"""What people may do on pages, as data: where, who, which fields, what it would do, how it is done.

A plan is made anew for the form and for its answer; targets of a group are frozen by the form itself. What is
done is a command of the ledger under the form's key, or an operation of that name (services/operations/).
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple

from aiohttp import web

from ledger.commands import ApproveChange, Command, GrantCredits, ProposeChange, RevokeCredits, WithdrawChange
from ledger.errors import AccountNotOpenError, ChangeClosedError
from ledger.system.commands import PauseSales, ResumeSales
from projections.engine.errors import NothingOfThatNameError
from projections.engine.registry import PROJECTIONS
from services.dashboard.render import account_link
from services.dashboard.routes import Role
from services.dashboard.users import query as users_query
from services.dashboard.visit import BadArgumentError, Visit
from services.generation.catalogue import load_catalogue
from services.generation.error_classes import POLICIES
from services.operations import credits, dead_letters, jobs
from services.operations.models import plan_model_change
from services.operations.runner import query
from services.platform.catalogues import N_

TARGETS_MAX = 500
PLANNED = "-"
"""Stands for the reason while a plan is made."""
Given = Mapping[str, str]
"""The form's fields, and the parts of the address."""
Do = Callable[[str, str], Awaitable[str]]
"""Takes the form's key and the reason; where to go on. Raises NeurocardsError when it is refused."""


class Plan(NamedTuple):
    """What would be done: facts for who decides, with a warning, and the targets that the form freezes."""

    facts: dict[str, Any]
    do: Do
    warning: str = ""
    targets: tuple[str, ...] = ()


class Field(NamedTuple):
    """`kind`: number, date, check, or words of which one is chosen."""

    name: str
    label: str
    kind: str | tuple[str, ...]
    needed: bool = False


class Action(NamedTuple):
    path: str
    least: Role
    title: str
    plan: Callable[[Visit, Given], Awaitable[Plan]]
    fields: tuple[Field, ...] = ()


async def names_of(visit: Visit, actors: Iterable[str]) -> dict[str, str]:
    """Names of users by actor, for who is known by one."""
    ids = [actor.removeprefix("user:") for actor in actors]
    return {row["actor"]: row["name"] for row in await visit.pool.fetch(users_query("user_names"), ids)}


def command(visit: Visit, make: Callable[[str], Command], prefix: str = "dashboard:") -> Do:
    async def do(key: str, reason: str) -> str:
        receipt = await visit.context.ledger.execute(make(reason), key=prefix + key)
        return f"/events/{receipt.position}" if receipt.events else "/"

    return do


def operation(visit: Visit, what: str, targets: tuple[str, ...], argument: str = "", credits: int = 0) -> Do:
    async def do(key: str, reason: str) -> str:
        asked = (key, what, list(targets), argument, credits, visit.user.actor, reason)
        await visit.context.ledger.read.pool.fetchval(query("operation_request"), *asked)
        return f"/operations/{key}"

    return do


async def retry(visit: Visit, given: Given) -> Plan:
    terms = jobs.Terms(visit.user.actor, PLANNED, model=given.get("model") or None)
    plan = await jobs.plan_requeue(visit.pool, visit.context.settings, given["name"], terms)
    facts = {
        N_("Account"): account_link(plan.state.account),
        N_("Failure"): plan.as_row()["failure"],
        N_("Model"): plan.command.model,
        N_("New job"): plan.command.as_job,
    }
    return Plan(facts, operation(visit, "requeue", (plan.job,), given.get("model", "")))


async def end_job(what: str, visit: Visit, given: Given) -> Plan:
    state = await jobs.running_job(visit.pool, given["name"])
    task = state.live_submission and (state.live_submission.task or "unknown")
    facts = {
        N_("Account"): account_link(state.account),
        N_("Comes back, credits"): state.price,
        N_("Task at the provider"): task or "—",
    }
    said = N_("The provider cannot be told to stop: a video that comes after all is given free.")
    do = operation(visit, what, (given["name"],), given.get("class", ""), state.price)
    return Plan(facts, do, said if task else "")


async def group(what: str, visit: Visit, given: Given) -> Plan:
    parked = [name for name, policy in POLICIES.items() if policy.parks]
    if targets := given.get("targets", "").split():
        rows = await jobs.rows_of(visit.pool, targets)
    else:
        wanted = dead_letters.DeadLetters(parked, None, None, given.get("group") or None, TARGETS_MAX)
        rows = await dead_letters.find_dead_letters(visit.pool, wanted)
    if not rows:
        raise NothingOfThatNameError("no dead letter of this group is left")
    facts = {
        N_("Jobs"): len(rows),
        N_("People"): len({row["account"] for row in rows}),
        N_("Class"): ", ".join(sorted({row["failure_class"] for row in rows})),
        N_("Model"): ", ".join(sorted({row["model"] for row in rows})),
        N_("Worth, credits"): (worth := sum(row["price"] for row in rows) if what == "requeue" else 0),
    }
    said = N_("Only the newest 500; ask again when these are done.") if len(rows) == TARGETS_MAX else ""
    chosen = tuple(row["job"] for row in rows)
    return Plan(facts, operation(visit, what, chosen, credits=worth), said, chosen)


async def change_model(what: str, visit: Visit, given: Given) -> Plan:
    before, open_jobs = await plan_model_change(visit.pool, given["name"], TARGETS_MAX)
    facts = {
        N_("Model"): before.model,
        N_("State"): before.state,
        N_("Open jobs, of the 500 due first"): open_jobs,
    }
    return Plan(facts, operation(visit, what, (before.model,)))


async def rebuild(visit: Visit, given: Given) -> Plan:
    if (name := given["name"]) not in PROJECTIONS:
        raise NothingOfThatNameError(f"there is no read model {name!r}")
    accept = "accept" if given.get("accept") else ""
    if accept and visit.user.role < Role.owner:
        raise web.HTTPForbidden(text=f"this needs the role {Role.owner.name}")
    said = N_("Carried out by `neurocards operations run`, which needs DATABASE_OWNER_URL.")
    return Plan({N_("Read model"): name}, operation(visit, "rebuild", (name,), accept), said)


async def forget(visit: Visit, given: Given) -> Plan:
    state = await visit.context.ledger.read.account(given["name"])
    if not state.opened:
        raise AccountNotOpenError(f"there is no account {given['name']!r}")
    facts = {N_("Account"): account_link(given["name"]), N_("Balance"): state.balance}
    said = N_("Texts, photos and videos go for good; open jobs fail and are refunded.")
    return Plan(facts, operation(visit, "forget", (given["name"],)), said)


async def credit(what: str, visit: Visit, given: Given) -> Plan:
    """A grant or revocation; from the limit on its proposal."""
    account, amount, actor = given["name"], int(given["amount"]), visit.user.actor
    ends_us = _midnight_us(given["expires"]) if given.get("expires") else None
    money: Any = given.get("money") or None
    below = await credits.alone_below(visit.pool, actor, visit.context.settings.approval_credits_min)

    def change(reason: str, below: int = below) -> GrantCredits | RevokeCredits:
        if what == "revoke":
            return RevokeCredits(account, amount, reason, actor=actor, money=money, alone_below=below)
        end: dict[str, Any] = {"expires_at_us": ends_us, "actor": actor, "alone_below": below}
        return GrantCredits(account, amount, "manual", reason, **end)

    def proposal(key: str, reason: str) -> ProposeChange:
        kind: Any = what
        return ProposeChange(account, key, kind, amount, reason, actor, ends_us, money)

    async def propose(key: str, reason: str) -> str:
        await visit.context.ledger.execute(proposal(key, reason), key=f"dashboard:{key}")
        return "/operations"

    planned = await credits.plan_change(visit.pool, change(PLANNED, amount + 1), PLANNED)
    facts = {
        N_("Account"): account_link(account),
        N_("Credits"): amount,
        N_("Balance before"): planned.before,
        N_("Balance after"): planned.after,
    }
    if amount < below:
        return Plan(facts, command(visit, change, credits.KEY_PREFIX))
    await visit.context.ledger.read.decided(proposal(PLANNED, PLANNED))
    return Plan(facts, propose, N_("So many credits wait for a second person: this proposes them."))


def _midnight_us(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:
        raise BadArgumentError("expires", "a date is wanted, like 2027-01-31") from None


async def settle(what: str, visit: Visit, given: Given) -> Plan:
    """Approval or withdrawal of a proposal."""
    account, name, user = given["name"], given["change"], visit.user
    state = await visit.context.ledger.read.account(account)
    proposed = next((each for each in state.proposals if each.change == name), None)
    if proposed is None:
        raise ChangeClosedError("the proposal is not open: it was approved, withdrawn, or is too old by now")
    own = proposed.actor == user.actor
    if not own and user.role < Role.owner:
        raise web.HTTPForbidden(text=f"this needs the role {Role.owner.name}")
    make = partial(ApproveChange if what == "approve" else WithdrawChange, account, name)
    await visit.context.ledger.read.decided(make(PLANNED, user.actor))
    said = N_("You proposed this yourself: `ledger exceptions` will list it.")
    do = command(visit, lambda reason: make(reason, user.actor))
    facts = {
        N_("Account"): account_link(account),
        N_("Credits"): proposed.amount if proposed.what == "grant" else -proposed.amount,
        N_("Reason"): proposed.reason,
        N_("Proposed by"): (await names_of(visit, [proposed.actor])).get(proposed.actor, proposed.actor),
    }
    return Plan(facts, do, said if own and what == "approve" else "")


async def sales(pause: bool, visit: Visit, given: Given) -> Plan:
    def change(reason: str) -> PauseSales | ResumeSales:
        return (PauseSales if pause else ResumeSales)(visit.user.actor, reason)

    made = await visit.context.ledger.read.decided(change(PLANNED))
    said = "" if made else N_("It is so already; nothing would change.")
    return Plan({}, command(visit, change), said)


_AMOUNT = Field("amount", N_("Credits"), "number", needed=True)
_OFFERED = tuple(model.slug for model in load_catalogue().models if model.enabled)
_MODEL = Field("model", N_("Another model"), _OFFERED)
OP, OWNER = Role.operator, Role.owner
ACTIONS: tuple[Action, ...] = (
    Action("/jobs/{name}/retry", OP, N_("Make the job again"), retry, (_MODEL,)),
    Action("/jobs/{name}/cancel", OP, N_("Cancel the job and refund it"), partial(end_job, "cancel")),
    Action(
        "/jobs/{name}/fail", OP, N_("Fail the job and refund it"), partial(end_job, "fail"),
        (Field("class", N_("What the seller is told"), tuple(POLICIES), needed=True),),
    ),
    Action("/errors/requeue", OP, N_("Make the group's jobs again"), partial(group, "requeue")),
    Action("/errors/drop", OP, N_("Leave the group's jobs at that"), partial(group, "drop")),
    Action("/models/{name:.+}/pause", OP, N_("Pause the model"), partial(change_model, "pause")),
    Action("/models/{name:.+}/resume", OP, N_("Resume the model"), partial(change_model, "resume")),
    Action(
        "/read-models/{name}/rebuild", OP, N_("Rebuild the read model"), rebuild,
        (Field("accept", N_("Swap in also what differs"), "check"),),
    ),
    Action(
        "/people/{name}/grant", OP, N_("Grant credits"), partial(credit, "grant"),
        (_AMOUNT, Field("expires", N_("Until"), "date")),
    ),
    Action(
        "/people/{name}/revoke", OWNER, N_("Take credits back"), partial(credit, "revoke"),
        (_AMOUNT, Field("money", N_("The money paid for them is"), ("owed", "forfeited"))),
    ),
    Action("/people/{name}/forget", OWNER, N_("Erase the person"), forget),
    Action("/proposals/{name}/{change}/approve", OWNER, N_("Approve the change"), partial(settle, "approve")),
    Action("/proposals/{name}/{change}/withdraw", OP, N_("Withdraw the change"), partial(settle, "withdraw")),
    Action("/sales/pause", OWNER, N_("Pause sales"), partial(sales, True)),
    Action("/sales/resume", OWNER, N_("Sell again"), partial(sales, False)),
)  # fmt: skip
