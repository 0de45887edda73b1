"""Forms of what people may do, operations, and what waits for approval.

A form asks (`GET`), with what would happen; its answer (`POST`) needs a reason, and does it once, however
often it is sent.
"""

import re
from functools import partial
from typing import Any, Final

import asyncpg
import msgspec
from aiohttp import web

from events.errors import NeurocardsError
from services.dashboard.actions import ACTIONS, TARGETS_MAX, Action, Given, names_of
from services.dashboard.names import refusal
from services.dashboard.routes import Role, Route
from services.dashboard.visit import BadArgumentError, Visit
from services.operations.runner import newest, query
from services.platform.catalogues import N_
from services.platform.ids import ID_PATTERN, new_id

REASON_MAX: Final = 500
SHOWN: Final = 100
WHAT: Final = {
    "requeue": N_("make again"), "drop": N_("leave at that"), "cancel": N_("cancel"), "fail": N_("fail"),
    "forget": N_("erase a person"), "pause": N_("pause a model"), "resume": N_("resume a model"),
    "rebuild": N_("rebuild a read model"), "grant": N_("grant"), "revoke": N_("take back"),
}  # fmt: skip
STATES: Final = {
    "requested": N_("waits to be begun"), "running": N_("under way"), "done": N_("done"),
    "aborted": N_("aborted"),
}  # fmt: skip
REFUSALS: Final = (
    NeurocardsError, asyncpg.CheckViolationError, asyncpg.UniqueViolationError,
    asyncpg.InsufficientPrivilegeError, asyncpg.ConfigurationLimitExceededError,
)  # fmt: skip
"""What is told to whoever asked, in its own words."""


def _given(action: Action, visit: Visit, said: Any) -> dict[str, str]:
    """The action's fields, as they may be. Raises BadArgumentError."""
    if bad := next((name for name, value in said.items() if "\x00" in str(value)), ""):
        raise BadArgumentError(bad, "text is wanted")
    given = {name: visit.part(name) for name in visit.request.match_info}
    given["group"] = str(said.get("group", ""))[:64]
    for field in action.fields:
        given[field.name] = text = str(said.get(field.name, "")).strip()
        if not text:
            continue
        if field.kind == "number" and not re.fullmatch("[1-9][0-9]{0,8}", text):
            raise BadArgumentError(field.name, "a whole number above 0 is wanted")
        if (isinstance(field.kind, tuple) and text not in field.kind) or len(text) > 100:
            raise BadArgumentError(field.name, "this is none of the choices")
    return given


async def ask(action: Action, visit: Visit) -> web.Response:
    return await _form(action, visit, _given(action, visit, visit.request.query), new_id())


async def answer(action: Action, visit: Visit) -> web.Response:
    said = await visit.form()
    given, key = _given(action, visit, said), str(said.get("key", ""))
    reason = str(said.get("reason", "")).strip()
    if not re.fullmatch(ID_PATTERN, key):
        raise BadArgumentError("key", "the form's own is wanted; open it again")
    if where := await visit.pool.fetchval(query("form_answered"), key):
        raise web.HTTPSeeOther(f"{where}?again=1")
    if targets := str(said.get("targets", "")):
        given["targets"] = " ".join(targets.split()[: TARGETS_MAX + 1])
    if not 0 < len(reason) <= REASON_MAX:
        raise BadArgumentError("reason", f"1 to {REASON_MAX} characters are wanted")
    try:
        where = await (await action.plan(visit, given)).do(key, reason)
    except REFUSALS as error:
        return await _form(action, visit, given, key, error, reason)
    raise web.HTTPSeeOther(where)


async def _form(
    action: Action, visit: Visit, given: Given, key: str, refused: Exception | None = None, reason: str = ""
) -> web.Response:
    plan = None
    if all(given.get(field.name) for field in action.fields if field.needed):
        try:
            plan = await action.plan(visit, given)
        except NeurocardsError as error:
            refused = error
    return await visit.render(
        "ask.html", status=409 if refused else 200, action=action, given=given, key=key, plan=plan,
        refused=refused, why=refused and refusal(refused), reason=reason,
    )  # fmt: skip


async def operations(visit: Visit) -> web.Response:
    proposals, found = await visit.pool.fetch(query("open_proposals")), await newest(visit.pool, SHOWN)
    actors = {row["actor"] for row in proposals} | {row["actor"] for row in found}
    names = await names_of(visit, actors)
    return await visit.render(
        "operations.html", proposals=proposals, operations=found, words=WHAT, states=STATES, names=names
    )


async def operation(template: str, visit: Visit) -> web.Response:
    name = visit.part("operation")
    row = await visit.pool.fetchrow(query("operation_named"), name)
    if row is None:
        return await visit.render("missing.html", status=404, what=name)
    found = dict(row) | {"refused": msgspec.json.decode(row["refused"])}
    names = await names_of(visit, [row["actor"]])
    made = {}
    if row["what"] == "requeue" and row["done"]:
        jobs = await visit.pool.fetch(query("jobs_named"), row["targets"])
        made = {job["job"]: job["requeued_as"] for job in jobs}
    answer = await visit.render(template, operation=found, words=WHAT, states=STATES, names=names, made=made)
    if row["ended_at_us"] and template == "progress.html":
        answer.headers["HX-Refresh"] = "true"  # what stands below has ended too
    return answer


async def abort(visit: Visit) -> web.Response:
    name = visit.part("operation")
    asked = (query("operation_abort"), name, visit.user.actor)
    await visit.context.ledger.read.pool.fetchval(*asked)
    raise web.HTTPSeeOther(f"/operations/{name}")


ROUTES: Final[tuple[Route, ...]] = (
    Route("GET", "/operations", operations),
    Route("GET", "/operations/{operation}", partial(operation, "operation.html")),
    Route("GET", "/operations/{operation}/progress", partial(operation, "progress.html")),
    Route("POST", "/operations/{operation}/abort", abort, Role.operator),
    *(Route("GET", action.path, partial(ask, action), action.least) for action in ACTIONS),
    *(Route("POST", action.path, partial(answer, action), action.least) for action in ACTIONS),
)
