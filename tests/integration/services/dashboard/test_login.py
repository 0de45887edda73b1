"""Who gets in, and nobody else: links, passwords, codes, sessions, guessing, proxies."""

import asyncio
import re
from typing import TYPE_CHECKING

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from services.dashboard.metrics import LOGINS
from services.dashboard.users import Invited, hashed, invite, query
from services.platform.database import reading_pool
from services.platform.settings import Settings
from tests.support.dashboard import open_door
from tests.support.dashboard_login import PASSWORD, THERE, Door, code_of, cookie, inside, joined, log_in, sent

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_a_link_works_once_and_looking_at_it_does_not_use_it(door: Door, owner: "Connection") -> None:
    async with door() as client:
        token = await invite(owner, "olga", "owner")
        for _ in range(2):
            page = await (await client.get(f"/link/{token}")).text()
        picture = await client.get(f"/link/{token}/code.svg")
        assert picture.content_type == "image/svg+xml" and b"<svg" in await picture.read()
        typed = re.search(r"([A-Z2-7]{4} ){7}[A-Z2-7]{4}", page)
        row = await owner.fetchrow(query("invited"), hashed(token))
        assert row is not None and typed is not None and Invited(*row).typed == typed[0]
        right = {"password": PASSWORD, "code": code_of(Invited(*row))}
        for wrong in ({"password": "short"}, {"code": "000000"}, {"code": ""}, {"password": ""}):
            answer = await sent(client, f"/link/{token}", **right | wrong)
            assert answer.status == 400 and not await inside(client)
        assert (await sent(client, f"/link/{token}", **right)).status == 303 and await inside(client)
        for answer in (await sent(client, f"/link/{token}", **right), await client.get(f"/link/{token}")):
            assert answer.status == 410
        old = await invite(owner, "anna", "auditor")
        await owner.execute("UPDATE dashboard_users SET link_until = now() WHERE name = 'anna'")
        assert (await client.get(f"/link/{old}")).status == 410
        assert (await sent(client, f"/link/{old}", **right)).status == 410


async def test_a_second_link_ends_what_the_first_one_began(door: Door, owner: "Connection") -> None:
    """The way back for who lost their phone; until it is used, all stays as it was."""
    async with door() as client:
        before = await joined(client, owner, "olga", "auditor")
        first = cookie(client)
        await invite(owner, "olga", "operator")
        page = await (await client.get(THERE)).text()
        assert "operator" in page, "another role counts at once"
        after = await joined(client, owner, "olga", "operator")
        assert before.secret != after.secret and not await inside(client, first) and await inside(client)


async def test_password_and_code_have_to_be_right_and_a_code_is_used_once(
    door: Door, owner: "Connection"
) -> None:
    async with door() as client:
        olga = await joined(client, owner, "olga")
        client.session.cookie_jar.clear()
        answers = [
            await log_in(client, olga, **wrong)
            for wrong in (
                {},  # the code that the link took
                {"password": "wrong horse battery"},
                {"code": "123"},
                {"name": "nobody"},
                {"name": "Olga"},
                {"name": "olga' OR true --"},
            )
        ]
        texts = {await answer.text() for answer in answers}
        assert {answer.status for answer in answers} == {403} and len(texts) == 1, (
            "nobody is told what was wrong"
        )
        assert not await inside(client)
        assert (await log_in(client, olga, owner, next="/events?type=JobQueued")).headers["Location"] == (
            "/events?type=JobQueued"
        )
        assert await inside(client)
        for elsewhere in (
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "javascript:x",
            "events",
        ):
            assert (await log_in(client, olga, owner, next=elsewhere)).headers["Location"] == "/"


async def test_a_code_and_a_link_are_good_for_one_of_those_who_try_at_once(
    door: Door, owner: "Connection"
) -> None:
    async with door() as client:
        olga = await joined(client, owner, "olga")
        await owner.execute("UPDATE dashboard_users SET totp_step = 0")
        answers = await asyncio.gather(*(log_in(client, olga) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [303, 403, 403]
        token = await invite(owner, "anna", "owner")
        row = await owner.fetchrow(query("invited"), hashed(token))
        assert row is not None
        right = {"password": PASSWORD, "code": code_of(Invited(*row))}
        answers = await asyncio.gather(*(sent(client, f"/link/{token}", **right) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [303, 410, 410]


async def test_a_database_that_takes_no_writes_is_looked_at_by_who_is_in(
    door: Door, own: Settings, ledger: Ledger, owner: "Connection"
) -> None:
    async with door() as client:
        olga = await joined(client, owner, "olga")
        token = cookie(client)
    await owner.execute("UPDATE dashboard_sessions SET seen_at = seen_at - interval '2 minutes'")
    async with (
        await reading_pool(own, "test") as pool,
        open_door(pool, pool, ledger, own) as client,
    ):
        assert await inside(client, token)
        answer = await log_in(client, olga)
        assert answer.status == 503 and "Nothing was changed" in await answer.text()


async def test_a_login_makes_a_new_session_and_logging_out_ends_it(door: Door, owner: "Connection") -> None:
    async with door() as client:
        olga = await joined(client, owner, "olga")
        first = cookie(client)
        chosen = "chosen-by-somebody-else"
        client.session.cookie_jar.update_cookies({"neurocards": chosen}, client.make_url("/"))
        answer = await log_in(client, olga, owner)
        set_cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in set_cookie and "SameSite=Lax" in set_cookie and "Path=/" in set_cookie
        assert cookie(client) not in (first, chosen) and not await inside(client, chosen)
        second = cookie(client)
        await log_in(client, olga, owner)
        assert not await inside(client, second), "a login ends the session it comes with"
        third = cookie(client)
        assert (await sent(client, "/logout")).headers["Location"] == "/login"
        assert not await inside(client, third)
        assert await owner.fetchval(
            "SELECT count(*) FROM dashboard_sessions WHERE token_hash = $1", hashed(first)
        )


async def test_by_https_the_cookie_is_this_hosts_alone(door: Door, owner: "Connection") -> None:
    async with door(dashboard_url="https://pages.example") as client:
        token = await invite(owner, "olga", "owner")
        row = await owner.fetchrow(query("invited"), hashed(token))
        assert row is not None
        answer = await sent(client, f"/link/{token}", password=PASSWORD, code=code_of(Invited(*row)))
        assert re.match("__Host-neurocards=.*; Secure", answer.headers["Set-Cookie"])
        assert "Domain" not in answer.headers["Set-Cookie"]


@pytest.mark.parametrize(
    "end",
    [
        "UPDATE dashboard_sessions SET seen_at = seen_at - interval '12 hours'",
        "UPDATE dashboard_sessions SET made_at = made_at - interval '7 days'",
        "SELECT ledger.remove_user('olga', false)",
        "SELECT ledger.remove_user('olga', true)",
    ],
)
async def test_a_session_ends_by_itself_and_with_its_user(door: Door, owner: "Connection", end: str) -> None:
    async with door() as client:
        olga = await joined(client, owner, "olga")
        assert await inside(client)
        await owner.execute(end)
        assert not await inside(client)
        back = await log_in(client, olga, owner)
        assert back.status == (303 if end.startswith("UPDATE") else 403)


async def test_a_session_is_ended_by_its_user_or_an_owner_and_by_nobody_else(
    door: Door, owner: "Connection"
) -> None:
    async with door() as client:
        await joined(client, owner, "olga", "owner")
        hers = cookie(client)
        number = await owner.fetchval("SELECT number FROM dashboard_sessions")
        client.session.cookie_jar.clear()
        await joined(client, owner, "anna", "operator")
        assert "olga" not in await (await client.get(THERE)).text()
        for name in (str(number), "999999999", "x", "-1", "1;DROP"):
            assert (await sent(client, f"/sessions/{name}/end")).headers["Location"] == THERE
        assert await inside(client, hers)
        annas = await owner.fetchval("SELECT max(number) FROM dashboard_sessions")
        client.session.cookie_jar.update_cookies({"neurocards": hers}, client.make_url("/"))
        assert "anna" in await (await client.get(THERE)).text()
        await sent(client, f"/sessions/{annas}/end")
        assert "anna" not in await (await client.get(THERE)).text()


async def test_guessing_is_slowed_by_name_and_by_address_and_locks_nobody_out(
    door: Door, owner: "Connection"
) -> None:
    async with door() as client:
        olga = await joined(client, owner, "olga")  # from 10.0.0.1
        client.session.cookie_jar.clear()
        for name in ("olga", "nobody"):
            tries = [
                (await log_in(client, olga, name=name, password="x" * 12, address="10.0.0.2")).status
                for _ in range(11)
            ]
            assert tries == [403] * 10 + [429], name
        assert (await log_in(client, olga, owner, address="10.0.0.3")).status == 429, (
            "elsewhere she waits too"
        )
        assert (await log_in(client, olga, owner)).status == 303, "where she was before she gets in"
        await owner.execute("UPDATE dashboard_attempts SET tried_at = tried_at - interval '15 minutes'")
        assert (await log_in(client, olga, owner, address="10.0.0.2")).status == 303
        assert LOGINS.labels("refused")._value.get() >= 3 and LOGINS.labels("in")._value.get() >= 2
        many = {
            (await log_in(client, olga, name=f"n{number}", address="10.0.0.4")).status for number in range(30)
        }
        assert many == {403}
        assert (await log_in(client, olga, owner, address="10.0.0.4")).status == 429


async def test_a_header_counts_from_the_trusted_proxy_alone(door: Door, owner: "Connection") -> None:
    async with door() as client:
        await joined(client, owner, "olga", "auditor")
    named = {"dashboard_trusted_proxy": "127.0.0.1 X-User"}
    for changes, headers, status in (
        ({}, {"X-User": "olga"}, 303),  # no header was agreed on
        (named, {"X-User": "olga"}, 200),
        (named, {"X-User": "nobody"}, 303),
        (named, {"X-User": "olga' OR true --"}, 303),
        (named, {"X-User": ""}, 303),
        (named, {}, 303),
        (named, [("X-User", "olga"), ("X-User", "olga")], 303),
        (
            {"dashboard_trusted_proxy": "10.0.0.9 X-User"},
            {"X-User": "olga", "X-Forwarded-For": "10.0.0.9"},
            403,
        ),
    ):
        async with door(**changes) as client:
            answer = await client.get(THERE, headers=headers, allow_redirects=False)
            assert answer.status == status, (changes, headers)
