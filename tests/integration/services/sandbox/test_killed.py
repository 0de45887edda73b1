"""The sandbox as a process: killed in the middle of traffic, it goes on with all it had acknowledged."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.services import ServiceProcess, services_in
from tests.support.waiting import eventually

ROUNDS = 3
WRITERS = 4
ENOUGH = 40


class Traffic:
    """People who write and a bot that answers, both remembering what was acknowledged."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http = http
        self._base = base
        self.said: list[tuple[int, str]] = []
        self.sent: list[tuple[int, str]] = []

    async def write(self, user_id: int, tag: str) -> None:
        """Go on until the connection breaks."""
        number = 0
        with contextlib.suppress(aiohttp.ClientError):
            while True:
                number += 1
                text = f"{tag} {number}"
                said = await self._post(f"/chat/{user_id}/send", {"text": text})
                self.said.append((said["message"]["message_id"], text))
                sent = await self._post(
                    "/telegram/bot111111:sandbox/sendMessage", {"chat_id": user_id, "text": f"echo {text}"}
                )
                self.sent.append((sent["result"]["message_id"], f"echo {text}"))

    def enough(self) -> bool:
        return len(self.sent) >= ENOUGH

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self._http.post(self._base + path, json=body) as response:
            answer = await response.json()
            assert answer["ok"], answer
            return answer


def base_of(process: ServiceProcess) -> str:
    return str(process.facts["sandbox_url"])


async def chats(http: aiohttp.ClientSession, base: str) -> dict[int, str]:
    texts: dict[int, str] = {}
    for user_id in range(1, WRITERS + 1):
        async with http.get(f"{base}/chat/{user_id}/messages") as response:
            texts |= {m["message_id"]: m["text"] for m in (await response.json())["messages"]}
    return texts


async def queued(http: aiohttp.ClientSession, base: str) -> list[str]:
    """Every update, confirmed page by page."""
    texts: list[str] = []
    offset = 0
    while True:
        url = f"{base}/telegram/bot111111:sandbox/getUpdates"
        async with http.get(url, params={"offset": offset}) as response:
            updates = (await response.json())["result"]
        if not updates:
            return texts
        texts += [update["message"]["text"] for update in updates]
        offset = updates[-1]["update_id"] + 1


async def test_kill_9_in_the_middle_of_traffic_loses_nothing(tmp_path: Path) -> None:
    said: list[tuple[int, str]] = []
    sent: list[tuple[int, str]] = []
    with services_in(tmp_path, {"SANDBOX_PORT": 0}) as services:
        sandbox = services.start("sandbox")
        async with aiohttp.ClientSession() as http:
            for turn in range(ROUNDS):
                traffic = Traffic(http, base_of(sandbox))
                writing = [
                    asyncio.create_task(traffic.write(user_id, f"{turn}.{user_id}"))
                    for user_id in range(1, WRITERS + 1)
                ]
                await eventually(traffic.enough)
                sandbox.kill()
                await asyncio.gather(*writing)
                said += traffic.said
                sent += traffic.sent
                sandbox.start()

            seen = await chats(http, base_of(sandbox))
            updates = await queued(http, base_of(sandbox))
            assert [text for number, text in said + sent if seen.get(number) != text] == []
            assert set(updates) >= {text for _, text in said}
            assert len(updates) == len(set(updates))

            sandbox.kill()
            sandbox.start()
            assert await queued(http, base_of(sandbox)) == []  # what was confirmed stays confirmed
            assert await chats(http, base_of(sandbox)) == seen


def test_a_second_sandbox_on_the_same_folder_says_why_it_cannot_start(tmp_path: Path) -> None:
    with services_in(tmp_path, {"SANDBOX_PORT": 0, "NEUROCARDS_DATA_DIR": tmp_path / "shared"}) as services:
        services.start("sandbox")
        second = services.start("sandbox", name="second", wait_s=None)
        assert second.wait_ended(60) == 1
        assert "is another sandbox using this folder?" in second.log
        assert "Traceback" not in second.log


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with services_in(tmp_path, {"SANDBOX_PORT": 0}) as services:
        first = services.start("sandbox")
        port = base_of(first).rpartition(":")[2]
        second = services.start("sandbox", name="second", wait_s=None, SANDBOX_PORT=port)
        assert second.wait_ended(60) == 1
        assert f"SANDBOX_PORT: cannot listen on 127.0.0.1:{port}" in second.log
        assert "Traceback" not in second.log
