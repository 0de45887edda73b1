"""What each role may, other sites may not, and no answer or log tells."""

import asyncio
import re
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import structlog
from aiohttp import web

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.dashboard.access import HEADERS
from services.dashboard.pages import ROUTES
from services.dashboard.routes import Role, Route
from services.dashboard.users import invite
from services.dashboard.visit import Visit
from services.platform.database import create_pool, reading_pool
from services.platform.settings import Settings
from tests.support.dashboard import open_pages
from tests.support.dashboard_login import PASSWORD, THERE, Door, code_of, invited_by, joined, log_in, sent

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record]


async def test_another_site_changes_nothing(door: Door, owner: "Connection") -> None:
    async with door() as client:
        await joined(client, owner, "olga")
        ours = f"http://{client.host}:{client.port}"
        for headers, status in (
            ({"Sec-Fetch-Site": "cross-site", "Origin": ours}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Sec-Fetch-Site": ""}, 403),
            ({"Sec-Fetch-Site": "none"}, 303),
        ):
            answer = await client.post(
                "/language", data={"locale": "en"}, headers=headers, allow_redirects=False
            )
            assert answer.status == status, headers
        async with client.session.get(f"{ours}{THERE}", headers={"Sec-Fetch-Site": "cross-site"}) as answer:
            assert answer.status == 200, "a link from a ticket opens"


async def test_what_cannot_be_read_is_refused_and_is_no_defect(door: Door, owner: "Connection") -> None:
    form = "application/x-www-form-urlencoded"
    async with door() as client:
        invited = await joined(client, owner, "olga")
        for path, status in (
            ("/reveal?account=a1&back=//[", 404),
            ("/static/" + "x" * 300, 404),
            (f"/events?since_us={2**63 - 1}", 400),
            (f"/events?until_us={2**63 - 1}", 400),
        ):
            assert (await client.get(path)).status == status, path
        for content_type, body in (
            (form, b"name=\xff"),
            (f"{form}; charset=none", b"name=a"),
            (f"{form}; charset=hex", b"name=a"),
            ("multipart/form-data", b"name=a"),
        ):
            for path in ("/login", "/sales/pause"):
                answer = await client.post(path, data=body, headers={"Content-Type": content_type})
                assert answer.status == 400, (path, content_type, body)
        for packing in ("gzip", "deflate", "none"):
            headers = {"Content-Type": form, "Content-Encoding": packing, "Connection": "close"}
            answer = await client.post("/login", data=b"name=a", headers=headers)
            assert answer.status == 415 and "not packed" in await answer.text(), packing
        assert (await log_in(client, invited, owner, next="//[")).headers["Location"] == "/"
        token = await invite(owner, "anna", "auditor")
        body = f"password={PASSWORD}&code={code_of(await invited_by(owner, token))}".encode()
        for first, more in (
            (b"GET /", b"Cookie: neurocards=\xff\r\n\r\n"),
            (
                f"POST /link/{token}".encode(),
                b"User-Agent: \xff\r\nSec-Fetch-Site: none\r\n"
                b"Content-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (form.encode(), len(body), body),
            ),
        ):
            reader, writer = await asyncio.open_connection(client.host, client.port)
            writer.write(first + b" HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n" + more)
            assert (await reader.readline()).split()[1] == b"303", more
            writer.close()


async def test_a_download_that_fails_midway_ends_and_has_no_page_in_it(door: Door) -> None:
    async def broken(visit: Visit) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(visit.request)
        await response.write(b"PK")
        raise TimeoutError

    async with door((*ROUTES, Route("GET", "/broken", broken, Role.nobody))) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(b"GET /broken HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n")
        _, _, body = (await reader.read()).partition(b"\r\n\r\n")
        assert body == b"2\r\nPK\r\n"
        writer.close()


async def test_half_a_form_holds_a_connection_for_a_moment_only(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.dashboard.visit.FORM_S", 0.01)
    async with door() as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        head = "POST /login HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nSec-Fetch-Site: none\r\n"
        head += "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\n"
        writer.write(f"{head}name".encode())
        assert (await reader.readline()).split()[1] == b"408"
        writer.close()


async def test_routes_are_for_their_roles(pool: "Pool", ledger: Ledger, settings: Settings) -> None:
    for role in Role:
        async with open_pages(pool, ledger, settings, role=role) as client:
            for route in ROUTES:
                path = re.sub(r"\{\w+\}", "1", route.path)
                answer = await client.request(route.method, path, allow_redirects=False)
                let_in = answer.status not in (401, 403) and "/login?" not in answer.headers.get(
                    "Location", ""
                )
                if (route.method, route.path) != ("POST", "/login"):
                    assert let_in == (role >= route.least), (role, route, answer.status)


async def test_every_answer_has_the_headers_and_none_tells_a_trace_or_a_secret(
    door: Door, owner: "Connection"
) -> None:
    async def broken(_: Any) -> Any:
        raise ValueError(f"defect with {PASSWORD}")

    routes = (*ROUTES, Route("GET", "/broken", broken, Role.nobody))
    with structlog.testing.capture_logs() as logs:
        async with door(routes) as client:
            token = await invite(owner, "olga", "owner")
            for path, status in (
                ("/login", 200), (THERE, 303), ("/nothing", 404), ("/static/dashboard.css", 200),
                ("/broken", 500), (f"/link/{token}", 200), ("/static/../main.py", 404),
            ):  # fmt: skip
                answer = await client.get(path, allow_redirects=False)
                assert answer.status == status, path
                assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path
                text = await answer.text() if path != "/static/dashboard.css" else ""
                assert "Traceback" not in text and PASSWORD not in text
                assert " style=" not in text and "<style" not in text and "<script>" not in text
            assert (await client.post("/login", data={"name": "x" * 70_000})).status == 413
            await sent(client, "/login", name="olga", password=PASSWORD, code="123456")
            fragment = await client.get(THERE, headers={"HX-Request": "true"}, allow_redirects=False)
            assert (fragment.status, fragment.headers["HX-Redirect"]) == (401, "/login")
    told = [line for line in logs if line["event"] == "request_answered"]
    assert len(told) == 10 and not any(token in str(line) or PASSWORD in str(line) for line in told)


async def test_what_is_personal_is_shown_to_auditors_with_a_reason_and_every_look_is_noted(
    door: Door, owner: "Connection", ledger: Ledger
) -> None:
    for account in ("a1", "a2"):
        await ledger.execute(c.OpenAccount(account, "1" * 64), key=account)

    async def person(visit: Any) -> Any:
        if await visit.reveal("a1"):
            return web.Response(text="shown")
        return await visit.render("masked.html", account="a1")

    routes = (*ROUTES, Route("GET", "/person", person))
    reads = "SELECT actor, what, account, reason FROM person_reads ORDER BY number"
    async with door(routes) as client:

        async def shown() -> bool:
            text = await (await client.get("/person")).text()
            assert text == "shown" or "/reveal?account=a1&amp;back=/person" in text
            return text == "shown"

        await joined(client, owner, "anna", "auditor")
        anna = await owner.fetchval("SELECT 'user:' || id FROM dashboard_users")
        assert not await shown() and await owner.fetch(reads) == []
        assert (await sent(client, "/reveal", account="a1", reason="", back="/person")).status == 400
        assert (await sent(client, "/reveal", account="nobody", reason="other", back="/")).status == 404
        assert (await sent(client, "/reveal", account="a2", reason="other", back="//x")).headers[
            "Location"
        ] == "/"
        assert not await shown()
        await sent(client, "/reveal", account="a1", reason="ticket 7", back="/person")
        assert await shown() and await shown()
        assert [tuple(row) for row in await owner.fetch(reads)] == [
            (anna, "page /reveal", "a2", "other"),
            (anna, "page /reveal", "a1", "ticket 7"),
            (anna, "page /person", "a1", "ticket 7"),
        ]
        await owner.execute("ALTER TABLE person_reads DISABLE TRIGGER ALL")
        await owner.execute("UPDATE person_reads SET read_at = read_at - interval '1 hour'")
        assert not await shown()
        client.session.cookie_jar.clear()
        await joined(client, owner, "olga", "operator")
        assert await shown()
        assert (await owner.fetch(reads))[-1]["reason"] == ""


async def test_the_login_of_the_process_reads_no_secret_and_makes_no_user(own: Settings) -> None:
    async with await reading_pool(own, "test") as pool, await create_pool(own, "test") as writing:
        for statement in (
            "SELECT password_hash FROM dashboard_users",
            "SELECT totp_secret FROM dashboard_users",
            "SELECT link_hash FROM dashboard_users",
            "SELECT * FROM dashboard_sessions",
            "SELECT * FROM dashboard_attempts",
            "SELECT salt FROM accounts",
            "SELECT * FROM payment_links",
            "SELECT * FROM drafts",
            "SELECT body FROM updates",
            "INSERT INTO dashboard_sessions (user_id) VALUES ('x')",
            "UPDATE dashboard_users SET role = 'owner'",
            "SELECT ledger.invite_user('a', 'b', 'owner', '', '')",
            "SELECT ledger.remove_user('a', true)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await writing.execute(statement)
        for statement in (
            "SELECT ledger.begin_login('olga', '')",
            "SELECT ledger.open_session('a', 1, '', '', '')",
        ):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await pool.execute(statement)
