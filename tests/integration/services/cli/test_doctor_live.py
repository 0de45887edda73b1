"""`doctor --live` against the sandbox: what it spends, that it asks, and what it shows."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.cli.doctor import Check
from services.cli.doctor.live import try_live
from services.platform.settings import Settings, load_settings
from services.sandbox import chat, control, kie, telegram, yookassa
from services.sandbox.app import Clock
from tests.support import fork_server
from tests.support.outside import Outside, outside
from tests.support.services import clean_environment

OWNER = 77


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    modules = {
        "/kie": kie.routes, "/telegram": telegram.routes, "/yookassa": yookassa.routes, "/chat": chat.routes,
        "/__sandbox": control.routes,
    }  # fmt: skip
    async with outside(modules, clock=Clock()) as running:
        running.turn(render_seconds=0.1, small_videos=True)
        await running.post(f"/chat/{OWNER}/send", {"text": "/start"})
        yield running


@pytest.fixture
def settings(sandbox: Outside, tmp_path: Path) -> Settings:
    return load_settings(
        sandbox_url=sandbox.url, data_dir=tmp_path, alerts_chat_id=OWNER, kie_poll_seconds=0.1
    )


async def tried(settings: Settings, sandbox: Outside, action: str) -> dict[str, Check]:
    """With a payer who does `action` on the provider's page."""
    payers: list[asyncio.Task[Any]] = []

    def pay(words: str) -> None:
        link = words.rpartition(" ")[2]
        payers.append(asyncio.create_task(sandbox.http.post(link, data={"action": action}).__aenter__()))

    found = {check.name: check for check in await try_live(settings, pay)}
    await asyncio.gather(*payers)
    return found


async def test_everything_is_made_and_shown(settings: Settings, sandbox: Outside) -> None:
    found = await tried(settings, sandbox, "pay")
    assert {check.state for check in found.values()} == {"ok"}, found
    book = await sandbox.get("/__sandbox/book")
    (payment,), (refund,), (task,) = (
        book["yookassa"]["payments"],
        book["yookassa"]["refunds"],
        book["kie"]["tasks"],
    )
    assert (payment["amount"]["value"], refund["amount"]["value"]) == ("1.00", "1.00")
    assert payment["id"] in found["rouble"].found and refund["id"] in found["rouble"].found
    assert task["taskId"] in found["video"].found and "KIE credits" in found["video"].found
    assert book["telegram"]["sent"] == {str(OWNER): 1}
    assert not [path for path in settings.data_dir.rglob("*.mp4")]


async def test_what_goes_wrong_is_told(settings: Settings, sandbox: Outside) -> None:
    sandbox.fault("kie", "task", "task_transient", times=None)
    sandbox.fault("telegram", "sendMessage", "blocked", times=None)
    found = await tried(settings, sandbox, "decline")
    assert {check.state for check in found.values()} == {"fail"}
    assert "is canceled" in found["rouble"].found and "blocked" in found["message"].found


def test_it_asks_before_it_spends(tmp_path: Path) -> None:
    env = clean_environment(SANDBOX_PORT=0, WEB_PORT=0, SANDBOX_URL="http://127.0.0.1:1")
    done = fork_server.neurocards(("doctor", "--live"), cwd=tmp_path, env=env)
    assert done.returncode == 2 and done.stdout == ""
    assert "one rouble to shop 100500" in done.stderr and "repeat with --yes" in done.stderr
