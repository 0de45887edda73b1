"""A person who buys: at YooKassa's page and with Stars; and what the log and the provider's book say then."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from services.adapters.telegram.callback_data import Buy, CheckPayment, Packages, PayBy, TopUp
from services.rehearsal.chat_client import Button, Chat, Message
from tests.integration.services.bot.people import WAIT_S, BotWorld, Visitor

TOPUP = TopUp.__prefix__ + ":"
BUY = Buy.__prefix__ + ":"
PACKAGES = Packages.__prefix__ + ":"
CHECK = CheckPayment.__prefix__ + ":"
BY_YOOKASSA = f"{PayBy.__prefix__}:yookassa:"
BY_STARS = f"{PayBy.__prefix__}:stars:"


class Buyer(Visitor):
    """Somebody in front of the chat, with a card and with Stars."""

    def __init__(self, world: BotWorld, http: httpx.AsyncClient, user_id: int) -> None:
        super().__init__(world, Chat(http, world.sandbox_url, user_id, "en"), http)

    async def choose(self, way: str, package: str = "credits-5", draft: str = "") -> None:
        """From the packages to the tap on how to pay."""
        await self.press(f"{BUY}{package}:{draft}")
        await self.press(f"{way}{package}:{draft}")

    async def order_by_card(self, package: str = "credits-5") -> str:
        """A payment with a link; its id."""
        await self.say("/topup")
        await self.choose(BY_YOOKASSA, package)
        return (await self.sees(CHECK)).data.removeprefix(CHECK)

    async def order_by_stars(self, package: str = "credits-5") -> Message:
        """The invoice."""
        await self.say("/topup")
        await self.choose(BY_STARS, package)
        return await self.invoice()

    async def invoice(self) -> Message:
        """The newest invoice since the last act, once it is there."""
        found: Message = await self.chat.until(
            lambda _: next((m for m in reversed(self.heard) if "invoice" in m), None), WAIT_S, "an invoice"
        )
        return found

    def link(self) -> str:
        """Where the newest payment is paid."""
        for message in reversed(self.chat.from_bot()):
            for row in message.get("reply_markup", {}).get("inline_keyboard", []):
                for button in row:
                    if "url" in button:
                        return str(button["url"])
        raise AssertionError("no link to pay at")

    async def at_the_page(self, action: str = "pay") -> None:
        """What the payer does on YooKassa's page."""
        reply = await self.http.post(self.link(), data={"action": action})
        assert reply.status_code in (200, 303), reply.text

    async def pay_stars(self, invoice: Message) -> dict[str, Any]:
        """Press the invoice's button; how it ended."""
        reply = await self.http.post(
            f"{self.world.sandbox_url}/chat/{self.chat.user_id}/pay",
            json={"message_id": invoice["message_id"], "wait": 15},
        )
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    async def charge(self) -> dict[str, Any]:
        """The newest successful_payment, as Telegram told it."""
        await self.chat.look()
        return next(m for m in reversed(self.chat.messages) if "successful_payment" in m)

    async def events(self, *types: str) -> Sequence[dict[str, Any]]:
        """Data of the events of these types that are about this person's payments or account, in order."""
        rows = await self.world.rows(
            """SELECT e.data::text FROM events e, accounts a
               WHERE a.telegram_id = $1 AND e.type = ANY ($2)
                 AND (e.stream = 'account-' || a.account OR e.stream IN (
                     SELECT o.stream FROM events o
                     WHERE o.type = 'PaymentOrdered' AND o.data ->> 'account' = a.account))
               ORDER BY e.position""",
            self.chat.user_id,
            list(types),
        )
        return [json.loads(row[0]) for row in rows]

    async def bought(self) -> list[int]:
        """Credits of the person's purchases."""
        granted = await self.events("CreditsGranted")
        return [grant["amount"] for grant in granted if grant["kind"] == "purchase"]

    async def sees_any(self, data: str) -> Button:
        """Wait for a button whose data begins so, whenever it came."""
        found: Button = await self.chat.until(lambda chat: chat.button(data), WAIT_S, f"a button {data!r}")
        return found
