"""The control API, and what it keeps across a restart."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from services.sandbox.app import Context
from services.sandbox.faults import FaultError, FaultRule, Faults
from services.sandbox.store import Store
from tests.support.each import each
from tests.support.outside import Outside, outside
from tests.support.waiting import eventually
from tests.unit.services.sandbox.kie.conftest import MODULES, ask, create


async def test_rules_are_added_listed_counted_and_removed(sandbox):
    rule = {"api": "kie", "call": "createTask", "fault": "paused", "times": 2, "after": 1}
    assert (await sandbox.post("/__sandbox/faults", rule))["ids"] == ["1"]
    codes = [(await ask(sandbox))["code"] for _ in range(4)]
    assert codes == [200, 500, 500, 200]
    listed = await sandbox.get("/__sandbox/faults")
    assert (listed["rules"][0]["seen"], listed["rules"][0]["used"]) == (3, 2)
    assert [taken["fault"] for taken in listed["taken"]] == ["paused", "paused"]
    assert listed["taken"][0]["context"]["model"] == "bytedance/seedance-2-fast"
    async with sandbox.http.delete(f"{sandbox.url}/__sandbox/faults/1") as reply:
        assert await reply.json() == {"ok": True, "removed": 1}
    assert (await sandbox.get("/__sandbox/faults"))["rules"] == []


@each(
    ("rule", "hint"),
    [
        ({"api": "kie", "call": "createTask", "fault": "pause"}, "it knows: bad_key"),
        ({"api": "kie", "call": "create", "fault": "paused"}, "it has: createTask"),
        ({"api": "kie", "call": "recordInfo", "fault": "paused"}, "knows no fault"),
        ({"api": "kie", "call": "createTask", "fault": "paused", "times": 0}, "at least 1"),
        ({"api": "kie", "call": "createTask", "fault": "paused", "often": 3}, "often"),
        ({"api": "kie"}, "call"),
        ([], None),
    ],
)
async def test_rules_nothing_could_act_out_are_refused(sandbox, rule, hint):
    good = {"api": "kie", "call": "createTask", "fault": "paused"}
    answer = await sandbox.post("/__sandbox/faults", [good, rule] if hint else rule)
    assert answer["ok"] is (hint is None)
    assert hint is None or hint in answer["error"]
    assert (await sandbox.get("/__sandbox/faults"))["rules"] == [], "all or none"


async def test_settings_are_changed_checked_and_put_back(sandbox):
    changed = await sandbox.post("/__sandbox/settings", {"balance": 5, "paused_models": ["x"]})
    assert (changed["balance"], changed["paused_models"]) == (5, ["x"])
    for wrong in ({"balance": "much"}, {"balence": 5}, {"balance": -1}, [1], {"rate_limit": 1.5}):
        assert (await sandbox.post("/__sandbox/settings", wrong))["ok"] is False, wrong
    assert (await sandbox.get("/__sandbox/settings"))["balance"] == 5
    assert (await sandbox.post("/__sandbox/settings", {"balance": None}))["balance"] == 1_000_000


async def test_health_and_seeds_that_make_no_sense(sandbox):
    assert (await sandbox.get("/__sandbox/health"))["ok"] is True
    for wrong in ({"seed": 1, "rate": 2}, {"seed": 1, "rate": 0.1, "only": ["no-such"]}, {"rate": 1}):
        assert (await sandbox.post("/__sandbox/seed", wrong))["ok"] is False, wrong
    headers = {"Content-Type": "application/json"}
    async with sandbox.http.post(f"{sandbox.url}/__sandbox/seed", data=b"{", headers=headers) as reply:
        assert reply.status == 400


def test_rules_and_seeds_go_on_after_a_restart_where_they_were(tmp_path: Path):
    def drawn(store: Store, count: int) -> list[str | None]:
        faults = Faults(store)
        taken = [faults.take("openai", "chat") for _ in range(count)]
        return [None if fault is None else fault.name for fault in taken]

    whole = Store(tmp_path / "whole")
    Faults(whole).seed(7, 0.5)
    expected = drawn(whole, 20)
    assert {None} < set(expected)
    whole.close()

    for part in range(2):
        store = Store(tmp_path)
        if part == 0:
            Faults(store).seed(7, 0.5)
        assert drawn(store, 10) == expected[part * 10 : part * 10 + 10]
        store.close()

    store = Store(tmp_path)
    faults = Faults(store)
    faults.remove()
    faults.add(FaultRule("openai", "chat", "quota", times=2))
    assert faults.take("openai", "chat") is not None
    assert Faults(store).take("openai", "chat") is not None
    assert Faults(store).take("openai", "chat") is None
    store.close()


def test_matching_needs_all_parts_and_the_first_rule_wins(tmp_path: Path):
    store = Store(tmp_path)
    faults = Faults(store)
    faults.add(
        FaultRule("kie", "*", "html_502", times=None, match={"key": "a", "model": "b"}),
        FaultRule("kie", "createTask", "paused", times=None),
    )
    taken = [
        faults.take("kie", "createTask", key="a", model="abc"),
        faults.take("kie", "createTask", key="a"),
    ]
    assert [fault and fault.name for fault in taken] == ["html_502", "paused"]
    assert faults.take("kie", "recordInfo", key="x", model="b") is None
    assert faults.take("telegram", "createTask", key="a", model="b") is None
    with pytest.raises(FaultError):
        faults.add(FaultRule("kie", "createTask", "nonsense"))
    store.close()


# The sandbox's own modules on a free port, told on stdout; killed by the test.
_PROCESS = """
import asyncio
import sys
from pathlib import Path
from aiohttp import web
from services.sandbox.app import Context, build_app
from services.sandbox.faults import Faults
from services.sandbox.store import Store
from tests.unit.services.sandbox.kie.conftest import MODULES

store = Store(Path(sys.argv[1]))
ctx = Context(store=store, faults=Faults(store))

async def main():
    runner = web.AppRunner(build_app(ctx, MODULES), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    ctx.base_url = "http://127.0.0.1:%d" % site._server.sockets[0].getsockname()[1]
    print(ctx.base_url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_sigkill_loses_nothing_that_was_answered(tmp_path: Path):
    process = subprocess.Popen(  # noqa: ASYNC220 - it has to be killed for real
        [sys.executable, "-c", _PROCESS, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        accepted: list[str] = []
        async with aiohttp.ClientSession() as http:
            store = Store(tmp_path / "shell")
            shell = Outside(Context(store, Faults(store), base_url=url), http)
            await shell.post(
                "/__sandbox/settings", {"render_seconds": 0.5, "small_videos": True, "balance": 2000}
            )
            for number in range(10):
                accepted.append(await create(shell, prompt=f"mug {number}", callback="http://127.0.0.1:9/x"))
            os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    async with outside(MODULES, tmp_path) as sandbox:
        assert (await sandbox.get("/__sandbox/settings"))["balance"] == 1000

        async def all_succeed() -> bool:
            sandbox.clock.advance(1)
            tasks = (await sandbox.get("/__sandbox/book"))["kie"]["tasks"]
            assert [task["taskId"] for task in tasks] == accepted
            return all(task["state"] == "success" for task in tasks)

        await eventually(all_succeed)
