"""Methods about money: invoices, pre-checkout, Stars."""

from __future__ import annotations

from typing import Any

from services.sandbox.telegram.compose import deliver, read_options
from services.sandbox.telegram.keyboards import read_markup
from services.sandbox.telegram.payments import read_invoice
from services.sandbox.telegram.registry import method
from services.sandbox.telegram.service import Telegram
from services.sandbox.telegram.wire import Call
from services.sandbox.telegram.world import Message

_LIMIT_MAX = 100
_SHOWN = ("title", "description", "start_parameter", "currency", "total_amount")


@method("sendInvoice")
async def send_invoice(telegram: Telegram, call: Call) -> Message:
    chat_id = telegram.target(call)
    invoice = read_invoice(call)
    markup = read_markup(call)
    options = read_options(telegram, call, chat_id)
    with telegram.store.batch():
        message = deliver(
            telegram, chat_id, options | {"invoice": {key: invoice[key] for key in _SHOWN}}, markup
        )
        telegram.payments.keep_message(message["message_id"], invoice)
    return message


@method("createInvoiceLink")
async def create_invoice_link(telegram: Telegram, call: Call) -> str:
    return telegram.payments.keep_link(read_invoice(call))


@method("answerPreCheckoutQuery")
async def answer_pre_checkout_query(telegram: Telegram, call: Call) -> bool:
    return telegram.payments.answer(call)


@method("refundStarPayment")
async def refund_star_payment(telegram: Telegram, call: Call) -> bool:
    return telegram.payments.refund(call)


@method("getStarTransactions")
async def get_star_transactions(telegram: Telegram, call: Call) -> dict[str, Any]:
    offset = call.integer("offset", low=0)
    limit = call.integer("limit", _LIMIT_MAX, low=1, high=_LIMIT_MAX)
    return {"transactions": telegram.payments.transactions(offset, limit)}


@method("getMyStarBalance")
async def get_my_star_balance(telegram: Telegram, call: Call) -> dict[str, int]:
    return {"amount": telegram.payments.star_balance()}
