"""What the bot keeps between updates."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from ledger.accounts.state import AccountState
from services.bot import context
from services.bot.context import TERMS_VERSION, Consents


async def test_an_agreement_that_a_restore_undid_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    states, now = {"a": AccountState(opened=True, terms=TERMS_VERSION)}, [100.0]
    reads: list[str] = []

    async def account(name: str) -> AccountState:
        reads.append(name)
        return states[name]

    monkeypatch.setattr("services.bot.context.time.monotonic", lambda: now[0])
    consents = Consents(cast(Any, SimpleNamespace(read=SimpleNamespace(account=account))))
    assert await consents.given("a") and await consents.given("a")
    assert reads == ["a"]
    states["a"] = AccountState()  # the log went back to before the agreement
    now[0] += context.CONSENT_S
    assert not await consents.given("a")
    states["a"] = AccountState(opened=True, terms=TERMS_VERSION)
    assert await consents.given("a")
