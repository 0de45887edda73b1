"""Login, one-time links, sessions, and reasons to look at a person."""

import io
import time

import segno
from aiohttp import web

from events.stream_names import account_stream
from services.dashboard.metrics import LOGINS
from services.dashboard.routes import Role, Route
from services.dashboard.users import PASSWORD_CHARACTERS_MIN, Invited, query, step_of
from services.dashboard.visit import BadArgumentError, Visit
from services.platform.catalogues import LOCALES

PASSWORD_CHARACTERS_MAX = 500
REASON_CHARACTERS_MAX = 500
TOO_MANY = web.HTTPTooManyRequests.status_code


async def form(visit: Visit) -> web.Response:
    return await visit.render("login.html", next=visit.arg("next"), wrong="")


async def log_in(visit: Visit) -> web.Response:
    """Open a new session, whatever cookie came: nobody chooses another's."""
    sessions, (token, device) = visit.context.sessions, visit.context.sessions.device(visit.request)
    password = await visit.field("password", most=PASSWORD_CHARACTERS_MAX)
    code = (await visit.field("code")).replace(" ", "")
    done = await sessions.users.log_in(await visit.field("name"), password, code, device)
    goal = await visit.field("next", most=2000)
    LOGINS.labels({None: "refused", False: "wrong", True: "in"}[done]).inc()
    if not done:
        wrong, status = ("many", TOO_MANY) if done is None else ("wrong", web.HTTPForbidden.status_code)
        return await visit.render("login.html", status=status, next=goal, wrong=wrong)
    return await _let_in(visit, token, goal)


async def log_out(visit: Visit) -> web.Response:
    await visit.context.sessions.users.end(visit.user.session, visit.user.id)
    answer = _to("/login")
    visit.context.sessions.let_out(answer)
    return answer


async def link(visit: Visit) -> web.Response:
    """What a one-time link is for. Only looking at it, as a chat's preview does, does not use it up."""
    return await _link_page(visit, await _invited(visit))


async def link_code(visit: Visit) -> web.Response:
    """The link's secret for an authenticator, as a QR code."""
    image = io.BytesIO()
    segno.make((await _invited(visit)).address).save(image, kind="svg", scale=5, border=3, light="#fff")
    return web.Response(body=image.getvalue(), content_type="image/svg+xml")


async def use_link(visit: Visit) -> web.Response:
    sessions, (token, device) = visit.context.sessions, visit.context.sessions.device(visit.request)
    invited, password, step = await _invited(visit), None, None
    if not visit.context.settings.dashboard_open_links:
        password = await visit.field("password", most=PASSWORD_CHARACTERS_MAX)
        code = (await visit.field("code")).replace(" ", "")
        step = step_of(invited.secret, code, time.time())
        if len(password) < PASSWORD_CHARACTERS_MIN or step is None:
            wrong = "short" if len(password) < PASSWORD_CHARACTERS_MIN else "code"
            return await _link_page(visit, invited, wrong, web.HTTPBadRequest.status_code)
    if not await sessions.users.accept(visit.part("token"), password, step, visit.user.locale, device):
        raise web.HTTPGone
    return await _let_in(visit, token, "/")


async def sessions(visit: Visit) -> web.Response:
    """One's own; an owner sees everybody's."""
    everybody = visit.user.role is Role.owner
    rows = await visit.pool.fetch(query("sessions"), None if everybody else visit.user.id)
    return await visit.render("sessions.html", rows=rows, locales=LOCALES)


async def end_session(visit: Visit) -> web.Response:
    """End a session: one's own, an owner anybody's.

    Of another's nothing happens, and the answer is the same.
    """
    text = visit.part("number")
    whose = None if visit.user.role is Role.owner else visit.user.id
    if text.isascii() and text.isdigit() and len(text) < 19:
        await visit.context.sessions.users.end(int(text), whose)
    return _to("/sessions")


async def choose_language(visit: Visit) -> web.Response:
    locale = await visit.field("locale")
    if locale not in LOCALES:
        raise BadArgumentError("locale", f"one of {', '.join(LOCALES)} is wanted")
    await visit.context.sessions.users.choose_language(visit.user.id, locale)
    return _to("/sessions")


async def ask_reason(visit: Visit) -> web.Response:
    account = visit.arg("account")
    if not await _is_there(visit, account):
        return await visit.render("missing.html", status=404, what=account)
    return await visit.render("reveal.html", account=account, back=_own(visit.arg("back")))


async def give_reason(visit: Visit) -> web.Response:
    """Show an account's data for an hour to who gave the reason."""
    reason, account = await visit.field("reason", most=REASON_CHARACTERS_MAX), await visit.field("account")
    if not reason or not account:
        raise BadArgumentError("reason", "say why you look")
    if not await _is_there(visit, account):
        return await visit.render("missing.html", status=404, what=account)
    await visit.context.sessions.users.give_reason(visit.user.actor, visit.place, account, reason)
    return _to(_own(await visit.field("back", most=2000)))


async def _is_there(visit: Visit, account: str) -> bool:
    """Whether the log knows the account: nothing else may stand in the notes of who looked at whom."""
    return bool(await visit.pool.fetch(query("account_ends"), account_stream(account)))


async def _invited(visit: Visit) -> Invited:
    found = await visit.context.sessions.users.invited(visit.part("token"))
    if found is None:
        raise web.HTTPGone
    return found


async def _link_page(visit: Visit, invited: Invited, wrong: str = "", status: int = 200) -> web.Response:
    return await visit.render(
        "link.html", status=status, invited=invited, wrong=wrong, least=PASSWORD_CHARACTERS_MIN,
        open=visit.context.settings.dashboard_open_links,
    )  # fmt: skip


async def _let_in(visit: Visit, token: str, goal: str) -> web.Response:
    """With the new session's cookie; the one that came along ends."""
    if visit.user.session:
        await visit.context.sessions.users.end(visit.user.session, visit.user.id)
    answer = _to(_own(goal))
    visit.context.sessions.let_in(answer, token)
    return answer


def _own(goal: str) -> str:
    """An address of ours to go on to, or the first page's: nobody is led elsewhere from here."""
    fine = goal.startswith("/") and not goal.startswith("//") and "\\" not in goal
    return goal if fine and goal.isprintable() else "/"


def _to(goal: str) -> web.Response:
    return web.Response(status=web.HTTPSeeOther.status_code, headers={"Location": goal})


ROUTES = (
    Route("GET", "/login", form, Role.nobody),
    Route("POST", "/login", log_in, Role.nobody),
    Route("POST", "/logout", log_out),
    Route("GET", "/link/{token}", link, Role.nobody),
    Route("POST", "/link/{token}", use_link, Role.nobody),
    Route("GET", "/link/{token}/code.svg", link_code, Role.nobody),
    Route("GET", "/sessions", sessions),
    Route("POST", "/sessions/{number}/end", end_session),
    Route("POST", "/language", choose_language),
    Route("GET", "/reveal", ask_reason),
    Route("POST", "/reveal", give_reason),
)
