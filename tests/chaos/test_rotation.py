"""Every secret is exchanged while sellers order, process by process; docs/rotation.md says the steps.

The bot's token and YooKassa's key are dead as soon as there are new ones; a KIE key retires; callbacks under
the old secret still find tasks whose creation got no answer.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from services.recovery.checkpoint_files import make_key
from tests.support import fork_server
from tests.support.arena.arena import Arena
from tests.support.arena.sellers import Fault
from tests.support.services import clean_environment
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

BEFORE: dict[str, Any] = {
    "BOT_TOKEN": "111111:token-before",
    "KIE_API_KEYS": "kie-before",
    "CALLBACK_SECRET": "the secret before",
    "YOOKASSA_SECRET_KEY": "test_before",
}
BOTH = {"CALLBACK_SECRET": "the secret before,the secret after that"}
AFTER: dict[str, Any] = {
    "BOT_TOKEN": "111111:token-after",
    "KIE_API_KEYS": "kie-after",
    "KIE_API_KEYS_RETIRING": "kie-before",
    "CALLBACK_SECRET": "the secret after that,the secret before",
    "YOOKASSA_SECRET_KEY": "test_after",
}
LOST = Fault("drop_after_accept", times=1)
WRITER = 42
NAME_LINE = "— arena/log "


async def test_nothing_is_lost_while_every_secret_is_exchanged(arena: Arena) -> None:
    sandbox = arena.settings.sandbox_base
    here: dict[str, Any] = {
        "TELEGRAM_API_URL": f"{sandbox}/telegram",
        "KIE_API_URL": f"{sandbox}/kie",
        "KIE_UPLOAD_URL": f"{sandbox}/kie",
        "YOOKASSA_API_URL": f"{sandbox}/yookassa/v3",
        "YOOKASSA_SHOP_ID": arena.settings.yookassa_shop,
        "FORGET_SECRET": "nobody is forgotten here",
    }
    dead = [BEFORE["BOT_TOKEN"], BEFORE["YOOKASSA_SECRET_KEY"]]
    async with arena.opened(2, without=["maintenance"], **here, **BEFORE):
        await arena.sandbox.change(keys_added=dead, render_seconds=8)
        for name in ("maintenance", "bot"):
            arena.begin(name)
        await arena.ready("maintenance", "bot")
        chat = arena.sandbox.chat(WRITER)
        await chat.say("/start")
        await chat.until(lambda chat: chat.from_bot(), 60, "an answer under the first token")

        jobs = await arena.jobs_of(4) + await arena.jobs_of(3, faults=[LOST])
        await exchange(arena, BOTH)
        await arena.sandbox.change(
            keys_added=[AFTER["BOT_TOKEN"], AFTER["YOOKASSA_SECRET_KEY"]], keys_revoked=dead
        )
        seen = chat.seen
        await chat.say("/help")
        jobs += await arena.jobs_of(2, faults=[LOST])
        ordering = asyncio.create_task(order_on(arena, 12))
        await exchange(arena, AFTER)
        await chat.until(lambda chat: chat.news(seen), 60, "an answer to what came while no token was good")
        jobs += await ordering

        await arena.sandbox.change(render_seconds=0.3)
        await arena.succeeded(jobs)
        await arena.sandbox.change(keys_revoked=[*dead, "kie-before"])
        jobs += await arena.jobs_of(2)
        await arena.all_made(jobs)
        assert {task["key"] for task in await arena.tasks()} == {"kie-before", "kie-after"}
        assert await arena.log_watch.pool.fetchval("SELECT count(*) FROM updates") == 0, (
            "an update was parked"
        )


async def exchange(arena: Arena, env: dict[str, str]) -> None:
    """Restart one after another with other settings, as `docker compose up` does."""
    for name, process in arena.running.items():
        if name != "sandbox":
            process._env |= env
            await asyncio.to_thread(process.restart)


async def order_on(arena: Arena, count: int) -> list[str]:
    jobs: list[str] = []
    for _ in range(count):
        jobs += await arena.jobs_of(1)
        await asyncio.sleep(0.5)
    return jobs


async def test_checkpoints_get_another_key_while_sellers_order(arena: Arena, tmp_path: Path) -> None:
    """The file is read for each note, so that nobody is restarted; no note is missing, and each verifies."""
    file, notes = tmp_path / "checkpoint.key", tmp_path / "notes"
    old, new = (make_key(tmp_path / name, "arena/log") for name in ("old.key", "new.key"))
    file.write_text((tmp_path / "old.key").read_text())
    file.chmod(0o600)
    signing: dict[str, Any] = {
        "CHECKPOINT_KEY_FILE": file,
        "CHECKPOINT_DIR": notes,
        "CHECKPOINT_EVERY_SECONDS": 0.5,
    }
    env = clean_environment(**arena.services.env, **signing)

    def newest() -> str:
        return max(notes.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime_ns).read_text()

    async def neurocards(*words: str) -> None:
        done = await asyncio.to_thread(fork_server.neurocards, words, cwd=tmp_path, env=env)
        assert done.returncode == 0, done.stderr

    async with arena.opened(1, **signing):
        jobs = await arena.jobs_of(2)
        await eventually(lambda: notes.exists() and list(notes.glob("checkpoint-*")), 60, what="a first note")
        ordering = asyncio.create_task(order_on(arena, 10))
        why = ("--reason", "the old one is two years old", "--yes")
        await neurocards("ledger", "rotate-key", str(tmp_path / "new.key"), *why)
        file.write_text((tmp_path / "new.key").read_text() + (tmp_path / "old.key").read_text())
        await eventually(lambda: newest().count(NAME_LINE) == 2, 60, what="a note that both keys signed")
        file.write_text((tmp_path / "new.key").read_text())
        await eventually(lambda: newest().count(NAME_LINE) == 1, 60, what="a note that the new key signed")
        jobs += await ordering
        await arena.all_made(jobs)
        (tmp_path / "last.note").write_text(newest())
        for public in (old.public, new.public):
            await neurocards("ledger", "verify-checkpoint", "last.note", "--public-key", str(public))
        await neurocards("ledger", "verify")
