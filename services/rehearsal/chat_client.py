"""HTTP clients of the sandbox: one person's chat, and the switches for faults.

Broken connections are retried: whatever is sent may arrive twice, as in life.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import msgspec

from events.errors import NeurocardsError
from services.platform.tls import tls_context

Message = dict[str, Any]
"""A message in the Bot API's shape, with `seq`; a deleted one has `deleted`."""

LONG_POLL_S = 5.0
_TIMEOUT_S = 30.0
_RETRY_S = 0.2
_GIVE_UP_S = 30.0
"""The sandbox may be killed and started again while somebody chats."""


def open_http(timeout_s: float = _TIMEOUT_S) -> httpx.AsyncClient:
    """A client for the sandbox, past any proxy."""
    return httpx.AsyncClient(verify=tls_context(), timeout=timeout_s, trust_env=False)


class ChatError(NeurocardsError):
    """The chat did not do as expected; the message says what was waited for."""


class Button(msgspec.Struct, frozen=True):
    message_id: int
    text: str
    data: str


class Chat:
    """The chat of `user_id`: messages in their latest form, and actions."""

    def __init__(self, http: httpx.AsyncClient, sandbox_url: str, user_id: int, language: str = "en") -> None:
        self.user_id = user_id
        self._http = http
        self._base = f"{sandbox_url}/chat/{user_id}"
        self._language = language
        self._after = 0
        self._messages: dict[int, Message] = {}

    @property
    def messages(self) -> list[Message]:
        return [self._messages[key] for key in sorted(self._messages)]

    def from_bot(self) -> list[Message]:
        return [message for message in self.messages if message["from"]["is_bot"]]

    async def say(self, text: str) -> None:
        await self._post("send", json={"text": text})

    async def send_photo(self, photo: bytes, *, as_file: bool = False, caption: str = "") -> None:
        field = "document" if as_file else "photo"
        await self._post("send", files={field: ("photo.jpg", photo, "image/jpeg")}, data={"caption": caption})

    async def tap(self, button: Button, *, wait_s: float = 0) -> dict[str, Any] | None:
        """Press a button, even a removed one; the bot's answer if within `wait_s`."""
        tapped = await self._post(
            "tap", json={"message_id": button.message_id, "data": button.data, "wait": wait_s}
        )
        answer: dict[str, Any] | None = tapped["answer"]
        return answer

    async def file(self, file_id: str) -> bytes:
        return (await self._request("GET", f"files/{file_id}")).content

    async def look(self, wait_s: float = 0) -> bool:
        """Fetch news, waiting up to `wait_s`; whether there were any."""
        query = {"after": self._after, "timeout": wait_s, "lang": self._language}
        seen = (await self._request("GET", "messages", params=query)).json()
        for message in seen["messages"]:
            if message.get("deleted"):
                self._messages.pop(message["message_id"], None)
            else:
                self._messages[message["message_id"]] = message
        self._after = max(self._after, int(seen["next"]))
        return bool(seen["messages"])

    async def until(
        self, found: Callable[[Chat], Any], timeout_s: float, what: str | Callable[[Chat], str]
    ) -> Any:
        """First true value of `found`, asked whenever the chat changes. Raises ChatError."""
        deadline = time.monotonic() + timeout_s
        while True:
            if value := found(self):
                return value
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                wanted = what if isinstance(what, str) else what(self)
                raise ChatError(f"not within {timeout_s:g} s: {wanted}; the chat ends with:\n{self.tail()}")
            await self.look(min(LONG_POLL_S, left_s))

    def button(self, prefix: str, *, since: int = 0) -> Button | None:
        """The newest button by prefix, on a message newer than `since`."""
        for message in reversed(self.news(since)):
            for button in buttons_of(message):
                if button.data.startswith(prefix):
                    return button
        return None

    def news(self, since: int) -> list[Message]:
        """The bot's messages since `since`, an earlier value of `seen`; edited ones too."""
        return [message for message in self.from_bot() if message["seq"] > since]

    @property
    def seen(self) -> int:
        """Sequence number of the last look; grows with every message and change."""
        return self._after

    def tail(self, count: int = 6) -> str:
        return "\n".join(f"    {described(message)}" for message in self.messages[-count:])

    async def _post(self, action: str, **body: Any) -> dict[str, Any]:
        done: dict[str, Any] = (
            await self._request("POST", action, params={"lang": self._language}, **body)
        ).json()
        return done

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await _request(self._http, "the chat", method, f"{self._base}/{path}", **options)


def buttons_of(message: Message) -> Sequence[Button]:
    rows = message.get("reply_markup", {}).get("inline_keyboard", [])
    return [
        Button(message["message_id"], button.get("text", ""), button["callback_data"])
        for row in rows
        for button in row
        if "callback_data" in button
    ]


def described(message: Message) -> str:
    who = "bot" if message["from"]["is_bot"] else "seller"
    kinds = [kind for kind in ("photo", "video", "document", "animation") if kind in message]
    words = " ".join((message.get("text") or message.get("caption") or "").split())[:160]
    labels = [f"[{button.data}]" for button in buttons_of(message)]
    return " ".join(
        [f"#{message['message_id']}", f"{who}:", *(f"<{kind}>" for kind in kinds), words, *labels]
    )


class TaskSeen(msgspec.Struct, frozen=True):
    """A task the provider made: `job` and `submission` as our callback address says them."""

    task: str
    job: str
    submission: int
    state: str


class Sandbox:
    """Client of the control API under `/__sandbox`; waits out the sandbox's restarts."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    def chat(self, user_id: int) -> Chat:
        return Chat(self._http, self._url, user_id)

    async def inject(self, rules: list[dict[str, Any]]) -> None:
        if rules:
            await self._request("POST", "faults", rules)

    async def clear_faults(self) -> None:
        await self._request("DELETE", "faults")

    async def seed(self, seed: int, rate: float, **more: Any) -> None:
        """A rate of 0 ends them. `more`: `only`, `args`."""
        await self._request("POST", "seed", {"seed": seed, "rate": rate, **more})

    async def change(self, **settings: Any) -> None:
        await self._request("POST", "settings", settings)

    async def faults_taken(self) -> list[dict[str, Any]]:
        """Faults acted out, oldest first: api, call, fault, context."""
        taken: list[dict[str, Any]] = (await self._request("GET", "faults")).json()["taken"]
        return taken

    async def tasks(self) -> list[TaskSeen]:
        book = (await self._request("GET", "book")).json()
        return [_seen(task) for task in book["kie"]["tasks"]]

    async def _request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return await _request(self._http, "the sandbox", method, f"{self._url}/__sandbox/{path}", json=body)


def _seen(task: dict[str, Any]) -> TaskSeen:
    # …/webhooks/kie/{job}/{submission}/{secret}
    _, _, tail = task["callBackUrl"].partition("/webhooks/kie/")
    job, _, rest = tail.partition("/")
    submission = rest.partition("/")[0]
    return TaskSeen(task["taskId"], job, int(submission) if submission.isdecimal() else 0, task["state"])


async def _request(
    http: httpx.AsyncClient, who: str, method: str, url: str, **options: Any
) -> httpx.Response:
    """Retry until answered. Raises ChatError."""
    deadline = time.monotonic() + _GIVE_UP_S
    while True:
        try:
            response = await http.request(method, url, **options)
            break
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise ChatError(f"{who} cannot be reached: {error!r}") from None
        await asyncio.sleep(_RETRY_S)
    if response.is_error:
        raise ChatError(f"{who} refused {method} {url}: {response.text[:300]}")
    return response
