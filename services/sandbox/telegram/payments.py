"""Telegram payments: invoices, pre-checkout within ten seconds, Stars and refunds."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from services.sandbox.app import Context
from services.sandbox.telegram.buttons import TOO_OLD
from services.sandbox.telegram.calls import Call, bad_request
from services.sandbox.telegram.updates import UpdateQueue
from services.sandbox.telegram.world import Signal, World

STARS = "XTR"
PRE_CHECKOUT_S = 10.0
_CHECKOUT_KIND = "telegram_checkout"
_CHARGE_KIND = "telegram_charge"
_MESSAGE_KIND = "telegram_invoice"
_TRANSACTION_KIND = "telegram_star_transaction"
_FIRST_CHECKOUT_ID = 21_474_836_480_001
_STARS_MAX = 100_000


class Payments:
    """Payments between people and the bot; stored, and timers resume after a restart."""

    def __init__(self, ctx: Context, world: World, updates: UpdateQueue) -> None:
        self._ctx = ctx
        self._store = ctx.store
        self._world = world
        self._updates = updates
        self._decided = Signal()
        ctx.on_start(self._resume)

    async def _resume(self) -> None:
        for checkout_id, doc in self._store.all(_CHECKOUT_KIND):
            if doc["state"] == "pending":
                self._ctx.spawn(self._expire_later(checkout_id), f"telegram_checkout_{checkout_id}")

    # Invoices

    def keep_message(self, message_id: int, invoice: dict[str, Any]) -> None:
        self._store.put(_MESSAGE_KIND, str(message_id), invoice)

    def of_message(self, message_id: int) -> dict[str, Any] | None:
        return self._store.get(_MESSAGE_KIND, str(message_id))

    # Paying

    def start(self, user_id: int, invoice: dict[str, Any], message_id: int) -> str:
        """Press "pay": asks the bot, which has ten seconds; returns the query's id."""
        checkout_id = str(self._store.next_id("telegram_checkout", _FIRST_CHECKOUT_ID))
        doc = {"user_id": user_id, "invoice": invoice, "message_id": message_id, "state": "pending"}
        query = {
            "id": checkout_id,
            "from": self._world.user(user_id),
            "currency": invoice["currency"],
            "total_amount": invoice["total_amount"],
            "invoice_payload": invoice["payload"],
        }
        with self._store.batch():
            self._store.put(_CHECKOUT_KIND, checkout_id, doc | {"at": self._ctx.clock.now()})
            self._updates.push("pre_checkout_query", query, user_id)
        self._ctx.spawn(self._expire_later(checkout_id), f"telegram_checkout_{checkout_id}")
        return checkout_id

    async def _expire_later(self, checkout_id: str) -> None:
        doc = self._store.get(_CHECKOUT_KIND, checkout_id)
        if doc is None:
            return
        await self._ctx.sleep_until(doc["at"] + PRE_CHECKOUT_S)
        self._decide(checkout_id, "timed_out", "The bot did not answer in time; nothing was paid.")

    def answer(self, call: Call) -> bool:
        checkout_id = call.text("pre_checkout_query_id")
        accepted = call.flag("ok")
        if not accepted and not call.has("error_message"):
            raise bad_request('parameter "error_message" is required')
        doc = self._store.get(_CHECKOUT_KIND, checkout_id)
        if doc is None or doc["state"] != "pending":
            raise bad_request(TOO_OLD)
        if accepted:
            with self._store.batch():
                self._settle(checkout_id, doc)
        else:
            self._decide(checkout_id, "declined", call.text("error_message"))
        return True

    def _decide(self, checkout_id: str, state: str, reason: str) -> None:
        doc = self._store.get(_CHECKOUT_KIND, checkout_id)
        if doc is not None and doc["state"] == "pending":
            self._store.put(_CHECKOUT_KIND, checkout_id, doc | {"state": state, "reason": reason})
            self._decided.notify()

    def _settle(self, checkout_id: str, doc: dict[str, Any]) -> None:
        user_id, invoice = doc["user_id"], doc["invoice"]
        charge_id = "stx" + _letters(f"charge:{checkout_id}", 30)
        payment = {
            "currency": invoice["currency"],
            "total_amount": invoice["total_amount"],
            "invoice_payload": invoice["payload"],
            "telegram_payment_charge_id": charge_id,
            "provider_payment_charge_id": f"{user_id}_{checkout_id[-6:]}",
        }
        charge = {"user_id": user_id, "payment": payment, "refunded": False}
        self._store.put(_CHARGE_KIND, charge_id, charge)
        self._store.put(_CHECKOUT_KIND, checkout_id, doc | {"state": "paid", "charge_id": charge_id})
        self._book(charge_id, payment, {"source": self._partner(user_id, payment)})
        message = self._world.add(user_id, {"successful_payment": payment}, from_bot=False)
        self._updates.push("message", message, user_id)
        self._mark_paid(user_id, doc["message_id"])
        self._decided.notify()

    def _mark_paid(self, user_id: int, message_id: int) -> None:
        record = self._world.record(user_id, message_id)
        if record is not None:
            record["view"]["paid"] = True
            self._world.change(record)

    async def decided(self, checkout_id: str, timeout_s: float) -> dict[str, Any]:
        """Wait for a payment's end: `state` paid, declined, timed_out or pending; `reason`."""

        def outcome() -> dict[str, Any]:
            doc = self._store.get(_CHECKOUT_KIND, checkout_id) or {"state": "unknown"}
            return {} if doc["state"] == "pending" else doc

        doc = await self._decided.until(outcome, timeout_s) or {"state": "pending"}
        return {key: doc[key] for key in ("state", "reason", "charge_id") if key in doc}

    # Giving back, and the books

    def refund(self, call: Call) -> bool:
        charge_id = call.text("telegram_payment_charge_id")
        charge = self._store.get(_CHARGE_KIND, charge_id)
        user_id = call.integer("user_id")
        if charge is None or charge["user_id"] != user_id:
            raise bad_request("CHARGE_NOT_FOUND")
        if charge["refunded"]:
            raise bad_request("CHARGE_ALREADY_REFUNDED")
        with self._store.batch():
            payment = charge["payment"]
            self._store.put(_CHARGE_KIND, charge_id, charge | {"refunded": True})
            self._book(charge_id, payment, {"receiver": self._partner(user_id, payment)})
            keys = ("currency", "total_amount", "invoice_payload", "telegram_payment_charge_id")
            refunded = {key: payment[key] for key in keys}
            message = self._world.add(user_id, {"refunded_payment": refunded}, from_bot=False)
            self._updates.push("message", message, user_id)
        return True

    def transactions(self, offset: int, limit: int) -> list[dict[str, Any]]:
        return [doc for _, doc in self._store.all(_TRANSACTION_KIND)][offset : offset + limit]

    def _book(self, charge_id: str, payment: dict[str, Any], side: dict[str, Any]) -> None:
        number = self._store.next_id("telegram_star_transaction")
        entry = {"id": charge_id, "amount": payment["total_amount"], "date": int(self._ctx.clock.now())}
        self._store.put(_TRANSACTION_KIND, str(number), entry | side)

    def _partner(self, user_id: int, payment: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "user",
            "transaction_type": "invoice_payment",
            "user": self._world.user(user_id),
            "invoice_payload": payment["invoice_payload"],
        }


def read_invoice(call: Call) -> dict[str, Any]:
    """The invoice a call describes. Raises BotApiError 400 where Telegram would."""
    title, description, payload = call.text("title"), call.text("description"), call.text("payload")
    if not 1 <= len(title) <= 32:
        raise bad_request("TITLE_INVALID")
    if not 1 <= len(description) <= 255:
        raise bad_request("DESCRIPTION_INVALID")
    if not 1 <= len(payload.encode()) <= 128:
        raise bad_request("INVOICE_PAYLOAD_INVALID")
    if call.text("currency") != STARS:
        raise bad_request("PAYMENT_PROVIDER_INVALID")  # no other is connected to this bot
    amounts = _amounts(call.structure("prices", "can't parse prices JSON object"))
    if len(amounts) != 1 or call.has("provider_token"):
        raise bad_request("STARS_INVOICE_INVALID")
    if not 1 <= amounts[0] <= _STARS_MAX:
        raise bad_request("CURRENCY_TOTAL_AMOUNT_INVALID")
    start = call.text("start_parameter")
    shown = {"title": title, "description": description, "start_parameter": start, "currency": STARS}
    return {**shown, "total_amount": amounts[0], "payload": payload}


def _amounts(raw: Any) -> list[int]:
    if not isinstance(raw, list) or not raw:
        raise bad_request("there must be at least one price")
    amounts = []
    for price in raw:
        amount = price.get("amount") if isinstance(price, dict) else None
        if not isinstance(amount, int) or isinstance(amount, bool) or not price.get("label"):
            raise bad_request("can't parse labeled price")
        amounts.append(amount)
    return amounts


def _letters(seed: str, count: int) -> str:
    digest = hashlib.sha256(seed.encode()).digest() * 2
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")[:count]
