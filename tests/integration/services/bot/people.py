"""People who chat with a running bot, and what they and the ledger see then."""

import asyncio
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
from PIL import Image

from services.adapters.telegram.callback_data import AcceptTerms, Menu, MenuAction, Order
from services.adapters.telegram.updates import whose
from services.local.valkey import EmbeddedValkey
from services.rehearsal.chat_client import Button, Chat, Message, buttons_of
from tests.support import servers
from tests.support.services import ServiceProcess, services_in

WAIT_S = 60.0
TERMS = AcceptTerms.__prefix__ + ":"
ORDER = Order.__prefix__ + ":"
STYLES = "card|view|styles|"
CREATE = Menu(action=MenuAction.CREATE).pack()
CABINET = Menu(action=MenuAction.CABINET).pack()


def picture(width: int = 640, height: int = 480, format_name: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(out, format_name, **options)
    return out.getvalue()


class Books(NamedTuple):
    """What the log says of one person."""

    balance: int
    charges: int
    jobs: int


@dataclass
class BotWorld:
    database_url: str
    valkey: EmbeddedValkey
    sandbox: ServiceProcess
    bot: ServiceProcess
    never_logged: tuple[str, ...] = ("Traceback", '"level": "error"')

    @property
    def sandbox_url(self) -> str:
        return str(self.sandbox.facts["sandbox_url"])

    def visitor(self, http: httpx.AsyncClient, user_id: int, language: str = "en") -> "Visitor":
        return Visitor(self, Chat(http, self.sandbox_url, user_id, language), http)

    async def rows(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql, *args)
            return found
        finally:
            await connection.close()

    async def inject(self, update_id: int, event: dict[str, Any], kind: str = "message") -> None:
        """Put an update into the inbox, as Telegram might have sent it."""
        body = json.dumps({"update_id": update_id, kind: event})
        await self.rows(
            "INSERT INTO updates (update_id, chat_id, user_id, body) VALUES ($1, $2, $3, $4::text::json)",
            update_id,
            *whose({kind: event}),
            body,
        )

    async def parked(self) -> int:
        rows = await self.rows("SELECT count(*) FROM updates WHERE parked_at IS NOT NULL")
        return int(rows[0][0])

    async def fault(self, http: httpx.AsyncClient, **rule: Any) -> str:
        """Add a fault to the sandbox; the rule's id."""
        reply = await http.post(f"{self.sandbox_url}/__sandbox/faults", json=rule)
        assert reply.status_code < 300, reply.text
        return str(reply.json()["ids"][0])


@contextmanager
def running_bot(
    postgres: servers.SessionPostgres, folder: Path, *others: str, **environment: str
) -> Iterator[BotWorld]:
    """A sandbox, a bot and `others` on databases of their own."""
    with postgres.database() as database_url, servers.own_valkey(folder, durable=True) as valkey:
        env = {"DATABASE_URL": database_url, "REDIS_URL": valkey.url(), "LOG_FORMAT": "json"}
        with services_in(folder / "services", env) as services:
            sandbox = services.start("sandbox", SANDBOX_PORT=0)
            services.env["SANDBOX_URL"] = sandbox.facts["sandbox_url"]
            services.env["NEUROCARDS_DATA_DIR"] = folder / "data"
            services.env |= environment
            bot = ServiceProcess("bot", services.folder, services.env).start(wait_s=60)
            for other in others:
                services.start(other)
            try:
                yield BotWorld(database_url, valkey, sandbox, bot)
            finally:
                bot.kill()


class Visitor:
    """One person; `heard` is what the bot said or changed since the person's last act."""

    def __init__(self, world: BotWorld, chat: Chat, http: httpx.AsyncClient) -> None:
        self.world = world
        self.chat = chat
        self.http = http
        self._mark = 0

    @property
    def heard(self) -> list[Message]:
        return self.chat.news(self._mark)

    @property
    def words(self) -> str:
        """All that was heard, as one text."""
        return "\n".join(m.get("text") or m.get("caption", "") for m in self.heard)

    async def say(self, text: str) -> None:
        await self.chat.look()
        self._mark = self.chat.seen
        await self.chat.say(text)

    async def send(self, *files: tuple[str, bytes, str], kind: str = "photo", caption: str = "") -> None:
        """Files as (name, bytes, type); several photos are an album."""
        await self.chat.look()
        self._mark = self.chat.seen
        reply = await self.http.post(
            f"{self.world.sandbox_url}/chat/{self.chat.user_id}/send",
            files=[(kind, file) for file in files],
            data={"caption": caption} if caption else {},
        )
        assert reply.status_code == 200, reply.text

    async def photo(self, data: bytes | None = None, caption: str = "") -> None:
        await self.send(("photo.jpg", data or picture(), "image/jpeg"), caption=caption)

    async def hears(self, pattern: str) -> str:
        """Wait until the bot has said something like `pattern` since the last act; all that was heard."""
        await self.chat.until(lambda _: re.search(pattern, self.words), WAIT_S, f"words like {pattern!r}")
        return self.words

    async def sees(self, data: str) -> Button:
        """Wait for a button whose data begins so, on what was heard since the last act."""
        button: Button = await self.chat.until(
            lambda chat: chat.button(data, since=self._mark), WAIT_S, f"button {data!r}"
        )
        return button

    async def tap(self, button: Button, *, wait_s: float = WAIT_S) -> str:
        """Tap; the text of the toast."""
        return (await self.tap_at_once(button, wait_s=wait_s))[0]

    async def tap_at_once(self, button: Button, times: int = 1, *, wait_s: float = WAIT_S) -> list[str]:
        """Tap so often at the same time; the toasts. What follows from any of them counts as news."""
        await self.chat.look()
        self._mark = self.chat.seen
        taps = [self.chat.tap(button, wait_s=wait_s) for _ in range(times)]
        return [str((answer or {}).get("text", "")) for answer in await asyncio.gather(*taps)]

    async def press(self, data: str) -> str:
        """Wait for such a button and tap it."""
        return await self.tap(await self.sees(data))

    async def enter(self) -> None:
        """Start and accept the terms."""
        await self.say("/start")
        await self.press(TERMS)
        await self.sees(CREATE)

    async def to_product(self) -> None:
        """A photo without a word: the card asks for the description."""
        await self.photo()
        await self.hears("describe|опишите")

    async def to_style(self) -> None:
        await self.photo(caption="A red mug")
        await self.sees(STYLES)

    async def pick(self, do: str, value: str) -> None:
        """Open what the card has for it, and choose."""
        views = {"style": "styles", "format": "formats", "seconds": "lengths", "number": "numbers"}
        await self.press(f"card|view|{views[do]}|")
        await self.press(f"card|{do}|{value}|")

    async def to_confirm(self, count: int = 1, style: str = "ugc") -> Button:
        """A card that can be ordered from."""
        await self.to_style()
        await self.pick("style", style)
        if count != 1:
            await self.pick("number", str(count))
        return await self.sees(ORDER)

    async def books(self) -> Books:
        """The person's account as the log has it."""
        rows = await self.world.rows(
            """SELECT coalesce(sum((data ->> 'amount')::int
                                   * CASE type WHEN 'CreditsCharged' THEN -1 ELSE 1 END), 0),
                      count(*) FILTER (WHERE type = 'CreditsCharged')
               FROM events JOIN accounts ON stream = 'account-' || account
               WHERE telegram_id = $1 AND type LIKE 'Credits%'""",
            self.chat.user_id,
        )
        jobs = await self.world.rows(
            """SELECT 1 FROM events JOIN accounts ON data ->> 'account' = account
               WHERE telegram_id = $1 AND type = 'JobQueued'""",
            self.chat.user_id,
        )
        return Books(int(rows[0][0]), int(rows[0][1]), len(jobs))

    def as_sender(self) -> dict[str, Any]:
        """`from`, `chat` and a date, as in a message of this person."""
        user_id = self.chat.user_id
        chat = {"id": user_id, "type": "private", "first_name": "A"}
        return {"from": {"id": user_id, "is_bot": False, "first_name": "A"}, "chat": chat, "date": 1}

    async def sends(self, first_id: int, *contents: dict[str, Any]) -> None:
        """Messages the sandbox's client cannot write, e.g. a voice or a sticker."""
        await self.chat.look()
        self._mark = self.chat.seen
        for number, content in enumerate(contents, start=first_id):
            await self.world.inject(number, {"message_id": number, **self.as_sender(), **content})

    def message(self, message_id: int) -> Message:
        return next(m for m in self.chat.messages if m["message_id"] == message_id)

    def buttons(self, message_id: int) -> list[str]:
        return [button.data for button in buttons_of(self.message(message_id))]
