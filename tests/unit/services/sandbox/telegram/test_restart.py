"""What was acknowledged survives the end of the process, however it came."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from services.sandbox.store import Store, StoreError
from tests.support.each import each
from tests.support.outside import ManualClock
from tests.unit.services.sandbox.telegram.conftest import TOKEN, Sandbox, bot_for, picture, started

WRITER = """
import sys
from pathlib import Path
from services.sandbox.store import Store

store = Store(Path(sys.argv[1]))
number = 0
while True:
    number = store.next_id("writes")
    with store.batch():
        store.put("left", str(number), {"n": number})
        store.put("right", str(number), {"n": number})
    print(number, flush=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        acknowledged = 0
        while acknowledged < 500:
            acknowledged = int(writer.stdout.readline())
        os.kill(writer.pid, signal.SIGKILL)
        rest = [line for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = int(rest[-1]) if rest else acknowledged

    store = Store(tmp_path)
    left, right = (store.all(kind) for kind in ("left", "right"))

    assert [doc["n"] for _, doc in left] == list(range(1, len(left) + 1))
    assert left == right
    assert len(left) >= acknowledged
    assert store.next_id("writes") > acknowledged
    store.close()


def test_two_sandboxes_cannot_share_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.sandbox.store._BUSY_TIMEOUT_S", 0.05)
    first = Store(tmp_path)
    with pytest.raises(StoreError, match="is another sandbox using this folder"):
        Store(tmp_path)
    first.close()
    Store(tmp_path).close()


def test_documents_keep_their_place_and_cannot_be_changed_from_outside(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for key in "cab":
        store.put("kind", key, {"value": [key]})
    got = store.get("kind", "c")
    assert got
    got["value"].append("changed")
    store.put("kind", "a", {"value": ["new"]})
    store.delete("kind", "b")
    store.close()
    again = Store(tmp_path)
    assert again.all("kind") == [("c", {"value": ["c"]}), ("a", {"value": ["new"]})]
    again.close()


@each("name", ["../x", "/etc/x", "a/../../x", "", "a\0b", "x" * 300])
def test_file_names_stay_inside(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreError, match="not a relative file name"):
        store.write_file(name, b"")
    store.close()


async def test_a_restarted_sandbox_goes_on_where_it_stopped(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    clock = ManualClock()
    store = Store(tmp_path)
    ctx, server = await started(store, clock)
    sandbox, bot = Sandbox(ctx, http), bot_for(Sandbox(ctx, http))
    body = aiohttp.FormData()
    body.add_field("photo", picture(), filename="a.jpg", content_type="image/jpeg")
    await sandbox.person("5/send?lang=en", body)
    sent = await bot.send_message(5, "выбор")
    await sandbox.call(
        "sendInvoice",
        chat_id=5,
        title="t",
        description="d",
        payload="p",
        currency="XTR",
        prices=[{"label": "l", "amount": 3}],
    )
    await sandbox.person("5/tap", {"message_id": sent.message_id, "data": "yes"})
    await sandbox.person("5/pay", {"message_id": sent.message_id + 1, "wait": 0})
    seen = await sandbox.sees(5)
    updates = await bot.get_updates()
    await bot.session.close()
    await server.close()
    store.close()

    store = Store(tmp_path)
    ctx, server = await started(store, clock)
    sandbox, bot = Sandbox(ctx, http), bot_for(Sandbox(ctx, http))
    assert await sandbox.sees(5) == seen
    again = await bot.get_updates()
    assert [u.update_id for u in again] == [u.update_id for u in updates] and len(again) == 3
    photo = again[0].message and again[0].message.photo
    assert photo and await bot.download(photo[-1])
    query, checkout = again[1].callback_query, again[2].pre_checkout_query
    assert query and await bot.answer_callback_query(query.id)
    assert checkout
    clock.advance(11)
    await asyncio.sleep(0)
    outcome = await sandbox.call("answerPreCheckoutQuery", 400, pre_checkout_query_id=checkout.id, ok=True)
    assert "query is too old" in outcome["description"]
    assert (await bot.send_message(5, "дальше")).message_id > sent.message_id + 1
    assert ctx.settings.bot_token == TOKEN
    await bot.session.close()
    await server.close()
    store.close()
