"""Forged forms, by what browsers say, old ones too; pages that a database keeps."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from ledger.postgres import TRANSIENT
from services.dashboard import access
from services.dashboard.access import is_forged
from services.dashboard.routes import Role, Route
from services.dashboard.users import User

OURS = "https://pages.example"


def test_a_form_of_another_site_is_refused_whatever_it_says() -> None:
    for forged, headers in (
        (False, [("Sec-Fetch-Site", "same-origin")]),
        (False, [("Sec-Fetch-Site", "none")]),
        (True, [("Sec-Fetch-Site", "same-site")]),
        (True, [("Sec-Fetch-Site", "cross-site"), ("Origin", OURS)]),
        (True, [("Sec-Fetch-Site", "same-origin, cross-site")]),
        (True, [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")]),
        (False, [("Origin", OURS)]),
        (False, [("Origin", "https://inner.example"), ("Host", "inner.example")]),
        (True, [("Origin", "http://pages.example")]),
        (True, [("Origin", "https://pages.example.evil.example")]),
        (True, [("Origin", "null")]),
        (True, [("Origin", OURS), ("Origin", "https://evil.example")]),
        (True, []),
    ):
        request = make_mocked_request("POST", "/", CIMultiDict(headers))
        assert is_forged(request, OURS) is forged, headers
    assert not is_forged(
        make_mocked_request("GET", "/", CIMultiDict([("Sec-Fetch-Site", "cross-site")])), OURS
    )


async def test_a_page_that_a_frozen_database_keeps_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "PAGE_S", 0.01)
    assert TimeoutError in TRANSIENT  # and so answered with 503

    async def frozen(_: object) -> web.Response:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def known(_: web.Request) -> User:
        return User("u", "olga", Role.owner)

    for handler, who in ((frozen, known), (frozen, frozen)):
        page = access.guarded(Route("GET", "/", handler, Role.auditor), None, who)  # type: ignore[arg-type]
        with pytest.raises(TimeoutError):
            await page(make_mocked_request("GET", "/"))
