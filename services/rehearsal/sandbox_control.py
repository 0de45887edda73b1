"""The sandbox's switches: faults in, the outside's book out."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import msgspec

from services.rehearsal.chat_client import ChatError

_GIVE_UP_S = 30.0
_RETRY_S = 0.2


class TaskSeen(msgspec.Struct, frozen=True):
    """A task the provider made: `job` and `submission` as our callback address says them."""

    task: str
    job: str
    submission: int
    state: str


class Sandbox:
    """The control API under `/__sandbox`; waits while the sandbox is being started again."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._base = f"{url}/__sandbox"

    async def inject(self, rules: list[dict[str, Any]]) -> None:
        """Add fault rules, all or none."""
        if rules:
            await self._request("POST", "faults", rules)

    async def clear_faults(self) -> None:
        await self._request("DELETE", "faults")

    async def seed(self, seed: int, rate: float, **more: Any) -> None:
        """Random faults on a share of all calls; a rate of 0 ends them. `more`: `only`, `args`."""
        await self._request("POST", "seed", {"seed": seed, "rate": rate, **more})

    async def change(self, **settings: Any) -> None:
        """Turn the sandbox's knobs, e.g. `render_seconds`."""
        await self._request("POST", "settings", settings)

    async def tasks(self) -> list[TaskSeen]:
        """Every task the provider ever made for us, oldest first."""
        book = (await self._request("GET", "book")).json()
        return [_seen(task) for task in book["kie"]["tasks"]]

    async def _request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        deadline = time.monotonic() + _GIVE_UP_S
        while True:
            try:
                response = await self._http.request(method, f"{self._base}/{path}", json=body)
                break
            except httpx.TransportError as error:
                if time.monotonic() > deadline:
                    raise ChatError(f"the sandbox cannot be reached: {error!r}") from None
            await asyncio.sleep(_RETRY_S)
        if response.is_error:
            raise ChatError(f"the sandbox refused {path}: {response.text[:300]}")
        return response


def _seen(task: dict[str, Any]) -> TaskSeen:
    # …/webhooks/kie/{job}/{submission}/{secret}
    _, _, tail = task["callBackUrl"].partition("/webhooks/kie/")
    job, _, rest = tail.partition("/")
    submission = rest.partition("/")[0]
    return TaskSeen(task["taskId"], job, int(submission) if submission.isdecimal() else 0, task["state"])
