"""YooKassa's validation of requests. Raises YooError for the first fault."""

from __future__ import annotations

import hashlib
import json
import re
from decimal import Decimal
from typing import Any

from aiohttp import web

from services.sandbox.app import Context
from services.sandbox.yookassa.errors import invalid

# The memory behind `Idempotence-Key`: 24 hours, one answer per key, and no other data under it.


_KIND = "yookassa_key"
_HEADER = "Idempotence-Key"
_LENGTH_MAX = 64
_REMEMBERED_S = 86_400.0


def key_of(request: web.Request) -> str:
    """The idempotence key. Raises YooError when missing or too long."""
    key = request.headers.get(_HEADER, "")
    if not key:
        raise invalid(
            "Idempotence key is required. Send the value in accordance with the documentation", _HEADER
        )
    if len(key) > _LENGTH_MAX:
        text = "Idempotence key is too long. Send the value in accordance with the documentation"
        raise invalid(text, _HEADER)
    return key


def earlier(ctx: Context, key: str, path: str, body: dict[str, Any]) -> tuple[str, str] | None:
    """(kind, id) the same request made before, or None. Raises YooError for other data within 24 hours."""
    doc = ctx.store.get(_KIND, key)
    if doc is None or doc["at"] + _REMEMBERED_S < ctx.clock.now():
        return None
    if doc["hash"] != _hash(path, body):
        raise invalid("Idempotence key duplicated", _HEADER)
    return doc["kind"], doc["id"]


def remember(ctx: Context, key: str, path: str, body: dict[str, Any], made: tuple[str, str]) -> None:
    """Remember only success: a refused request made nothing that could be made twice."""
    kind, made_id = made
    doc = {"hash": _hash(path, body), "kind": kind, "id": made_id, "at": ctx.clock.now()}
    ctx.store.put(_KIND, key, doc)


def _hash(path: str, body: dict[str, Any]) -> str:
    text = json.dumps([path, body], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


_VALUE = re.compile(r"\d{1,12}\.\d{2}")
_DESCRIPTION_MAX = 128
_METADATA_KEYS_MAX = 16
_METADATA_KEY_MAX = 32
_METADATA_VALUE_MAX = 512
_CUSTOMER_ID_MAX = 200
_URL_MAX = 2048


def money(given: Any, parameter: str = "amount") -> Decimal:
    """`{"value": "390.00", "currency": "RUB"}` as a number of rubles, more than zero."""
    if not isinstance(given, dict):
        raise invalid("Amount is required", parameter)
    value, currency = given.get("value"), given.get("currency")
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise invalid("Incorrect amount value: a string with two decimals is expected", f"{parameter}.value")
    if currency != "RUB":
        raise invalid("Incorrect currency: the shop accepts RUB", f"{parameter}.currency")
    if Decimal(value) <= 0:
        raise invalid("The amount must be greater than zero", f"{parameter}.value")
    return Decimal(value)


def amount(value: Decimal) -> dict[str, str]:
    return {"value": f"{value:.2f}", "currency": "RUB"}


def payment(body: dict[str, Any]) -> None:
    total = money(body.get("amount"))
    if body.get("capture") is not True:
        raise invalid("capture must be true: two stages are not part of this sandbox", "capture")
    _text(body, "description", _DESCRIPTION_MAX)
    _text(body, "merchant_customer_id", _CUSTOMER_ID_MAX)
    _metadata(body.get("metadata"))
    _confirmation(body.get("confirmation"))
    _receipt(body.get("receipt"), total)


def refund_amount(body: dict[str, Any]) -> Decimal:
    """Check the body of `POST /refunds`; returns how much goes back."""
    if not isinstance(body.get("payment_id"), str) or not body["payment_id"]:
        raise invalid("payment_id is required", "payment_id")
    total = money(body.get("amount"))
    _text(body, "description", 250)
    _metadata(body.get("metadata"))
    _receipt(body.get("receipt"), total)
    return total


def _text(body: dict[str, Any], name: str, length_max: int) -> None:
    value = body.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > length_max):
        raise invalid(f"{name} must be a string of at most {length_max} characters", name)


def _metadata(given: Any) -> None:
    if given is None:
        return
    if not isinstance(given, dict) or len(given) > _METADATA_KEYS_MAX:
        raise invalid(f"metadata must be an object of at most {_METADATA_KEYS_MAX} keys", "metadata")
    for key, value in given.items():
        if len(key) > _METADATA_KEY_MAX:
            raise invalid(f"A metadata key has at most {_METADATA_KEY_MAX} characters", "metadata")
        if not isinstance(value, str) or len(value) > _METADATA_VALUE_MAX:
            text = f"A metadata value is a string of at most {_METADATA_VALUE_MAX} characters"
            raise invalid(text, f"metadata.{key}")


def _confirmation(given: Any) -> None:
    if not isinstance(given, dict):
        raise invalid("Confirmation is required: how does the payer confirm?", "confirmation")
    if given.get("type") != "redirect":
        raise invalid("Confirmation type must be redirect in this sandbox", "confirmation.type")
    url = given.get("return_url")
    if not url:
        raise invalid("return_url is required for confirmation by redirect", "confirmation.return_url")
    if not isinstance(url, str) or len(url) > _URL_MAX or ":" not in url:
        raise invalid("return_url must be a URL", "confirmation.return_url")


def _receipt(given: Any, total: Decimal) -> None:
    if given is None:
        return
    if not isinstance(given, dict):
        raise invalid("Receipt must be an object", "receipt")
    customer = given.get("customer")
    reachable = isinstance(customer, dict) and (customer.get("email") or customer.get("phone"))
    if not (reachable or given.get("email") or given.get("phone")):
        raise invalid("Receipt needs the customer's email or phone", "receipt.customer")
    items = given.get("items")
    if not isinstance(items, list) or not items:
        raise invalid("Receipt needs at least one item", "receipt.items")
    summed = sum((_item(item, f"receipt.items[{at}]") for at, item in enumerate(items)), Decimal(0))
    if summed.quantize(Decimal("0.01")) != total:
        text = f"The sum of the receipt's items ({summed:.2f}) must equal the amount ({total:.2f})"
        raise invalid(text, "receipt.items")


def _item(item: Any, parameter: str) -> Decimal:
    if not isinstance(item, dict):
        raise invalid("A receipt item must be an object", parameter)
    description = item.get("description")
    if not isinstance(description, str) or not 0 < len(description) <= _DESCRIPTION_MAX:
        text = f"An item's description has 1 to {_DESCRIPTION_MAX} characters"
        raise invalid(text, f"{parameter}.description")
    code = item.get("vat_code")
    if not isinstance(code, int) or isinstance(code, bool) or not 1 <= code <= 12:
        raise invalid("vat_code must be a number from 1 to 12", f"{parameter}.vat_code")
    try:
        quantity = Decimal(str(item.get("quantity")))
    except ArithmeticError as error:
        raise invalid("quantity must be a number", f"{parameter}.quantity") from error
    if not quantity.is_finite() or quantity <= 0:
        raise invalid("quantity must be greater than zero", f"{parameter}.quantity")
    return quantity * money(item.get("amount"), f"{parameter}.amount")
