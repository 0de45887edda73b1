"""`neurocards migrate` and `neurocards doctor` against real servers and a sandbox-like company."""

import asyncio
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from services.sandbox import openai
from services.sandbox.openai.models import MODELS
from tests.support import fork_server
from tests.support.outside import outside
from tests.support.services import clean_environment


def neurocards(*words: str, folder: Path, **env: str) -> "subprocess.CompletedProcess[str]":
    return fork_server.neurocards(
        words, cwd=folder, env=clean_environment(SANDBOX_PORT=0, WEB_PORT=0, DASHBOARD_PORT=0, **env)
    )


def rows(done: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(done.stdout)}


def test_migrate_applies_once_and_doctor_agrees(
    tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    env = {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    before = rows(neurocards("doctor", "-o", "json", folder=tmp_path, **env))
    assert before["tables"]["advice"] == "run `neurocards migrate`"

    first = neurocards("migrate", "-o", "json", folder=tmp_path, **env)
    assert first.returncode == 0, first.stderr
    assert len(json.loads(first.stdout)) > 2
    second = neurocards("migrate", "-o", "json", folder=tmp_path, **env)
    assert (second.returncode, json.loads(second.stdout)) == (0, [])

    after = rows(neurocards("doctor", "-o", "json", folder=tmp_path, **env))
    assert after["tables"]["state"] == after["REDIS_URL"]["state"] == "ok"
    assert after["clocks"]["state"] == "ok"
    assert "+0 s against this machine's; nobody outside told the time" in after["clocks"]["found"]
    assert after["durability"]["state"] == "fail"  # the tests' own server does not fsync: the doctor sees it
    assert (
        after["temporary files"]["state"] == "warn"
        and "temp_file_limit" in after["temporary files"]["advice"]
    )


def test_two_migrations_at_once_are_one(tmp_path: Path, empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as threads:
        both = [
            threads.submit(
                neurocards, "migrate", "-o", "jsonl", folder=tmp_path, DATABASE_URL=empty_database_url
            )
            for _ in range(2)
        ]
    done = [one.result() for one in both]
    assert [one.returncode for one in done] == [0, 0], done
    applied = sorted(len(one.stdout.splitlines()) for one in done)
    assert applied[0] == 0 and applied[1] > 2


def test_servers_that_do_not_answer_are_named(tmp_path: Path) -> None:
    env = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = neurocards("doctor", "-o", "json", folder=tmp_path, **env)
    assert done.returncode == 1
    found = rows(done)
    assert found["DATABASE_URL"]["state"] == found["REDIS_URL"]["state"] == "fail"
    assert "Traceback" not in done.stderr


async def test_keys_are_tried_and_not_shown(tmp_path: Path) -> None:
    async def credit(request: web.Request) -> web.Response:
        good = request.headers.get("Authorization") == "Bearer good-key"
        return web.json_response({"code": 200 if good else 401, "msg": "", "data": 1})

    app = web.Application()
    app.add_routes([web.get("/api/v1/chat/credit", credit)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        for keys, code in (("good-key", 0), ("good-key,bad-key-secret", 1)):
            done = await asyncio.to_thread(
                neurocards,
                "doctor",
                "-o",
                "jsonl",
                folder=tmp_path,
                KIE_API_URL=url,
                KIE_API_KEYS=keys,
                CALLBACK_SECRET="of this test alone",
            )
            assert done.returncode == code, done.stdout
            assert "bad-key-secret" not in done.stdout + done.stderr
    finally:
        await runner.cleanup()


async def test_the_doctor_tells_when_the_configured_models_end(tmp_path: Path) -> None:
    end = datetime.now(UTC).date() + timedelta(days=40)
    async with outside({"/openai": openai.routes}) as sandbox:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(MODELS, "gpt-4o-mini", replace(MODELS["gpt-4o-mini"], shutdown_date=str(end)))
            done = await asyncio.to_thread(
                neurocards, "doctor", "-o", "json", folder=tmp_path, OPENAI_API_KEY="sk-x",
                OPENAI_BASE_URL=f"{sandbox.url}/openai/v1", OPENAI_MODEL="gpt-4o-mini",
                OPENAI_MODERATION_MODEL="gone",
            )  # fmt: skip
    found = rows(done)
    assert found["OPENAI_MODEL"]["state"] == "warn" and f"{end}, in 40 days" in found["OPENAI_MODEL"]["found"]
    assert found["OPENAI_MODERATION_MODEL"]["state"] == "fail" and done.returncode == 1
