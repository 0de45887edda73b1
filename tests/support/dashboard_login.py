"""Somebody who gets a link to the dashboard, sets a password and logs in, as seen from the login page."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import asyncpg
from aiohttp import ClientResponse, ClientSession, DummyCookieJar

from services.dashboard.users import CODE_S, Invited, hashed, invite, query
from tests.support.dashboard import Client

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

PASSWORD = "correct horse battery"
THERE = "/sessions"
"""A page that everybody may see who has a session."""
Door = Callable[..., AbstractAsyncContextManager[Client]]


async def sent(client: Client, path: str, *, address: str = "10.0.0.1", **fields: str) -> ClientResponse:
    """A form of ours, sent from an address behind the proxy. Redirects are not followed."""
    headers = {"X-Forwarded-For": f"6.6.6.6, {address}"}
    return await client.post(path, data=fields, headers=headers, allow_redirects=False)


async def joined(client: Client, owner: "Connection", name: str, role: str = "owner") -> Invited:
    """Somebody who has used their link, and is logged in."""
    token = await invite(owner, name, role)
    invited = await invited_by(owner, token)
    done = await sent(client, f"/link/{token}", password=PASSWORD, code=code_of(invited))
    assert (done.status, done.headers["Location"]) == (303, "/"), await done.text()
    return invited


async def invited_by(owner: "Connection", token: str) -> Invited:
    """Whom a link is for, with the secret of the codes."""
    row = await owner.fetchrow(query("invited"), hashed(token))
    assert row is not None
    return Invited(*row)


async def log_in(
    client: Client, invited: Invited, owner: "Connection | None" = None, /, **fields: str
) -> ClientResponse:
    """As a login that tells of nothing but its code; `owner`: codes that were used count as new."""
    if owner is not None:
        await owner.execute("UPDATE dashboard_users SET totp_step = 0")
    right = {"name": invited.name, "password": PASSWORD, "code": code_of(invited)}
    return await sent(client, "/login", **right | fields)


def code_of(invited: Invited, steps: int = 0) -> str:
    from services.dashboard.users import _totp  # the authenticator's part

    return _totp(invited.secret).generate(int(time.time()) + steps * CODE_S).decode()


async def inside(client: Client, token: str | None = None) -> bool:
    """Whether a page is shown; else the way leads to the login. `token`: of another session."""
    if token is None:
        answer = await client.get(THERE, allow_redirects=False)
    else:
        async with ClientSession(cookie_jar=DummyCookieJar()) as alone:
            answer = await alone.get(
                client.make_url(THERE), headers={"Cookie": f"neurocards={token}"}, allow_redirects=False
            )
    assert answer.status == 200 or answer.headers["Location"].startswith("/login?next="), answer
    return answer.status == 200


def cookie(client: Client) -> str:
    (found,) = [morsel.value for morsel in client.session.cookie_jar if morsel.key == "neurocards"]
    return found
