"""Queries of `neurocards payments list|show`, without opening bot and shop."""

from typing import TYPE_CHECKING, Any

import msgspec

from events.codec import decode
from events.stream_names import payment_stream
from ledger.errors import NotPaidError
from ledger.log.reader import LogReader
from ledger.payments.state import PaymentState
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from projections.reports.event_text import describe

if TYPE_CHECKING:
    from ledger.postgres import Pool


query = load_queries("services.cli.commands.payments")


class WantedPayments(msgspec.Struct, frozen=True):
    """Filter of payments; None: any. `state` is one of the read model's, or `open`."""

    state: str | None
    account: str | None
    provider: str | None
    since_us: int | None
    limit: int


async def find_payments(pool: "Pool", wanted: WantedPayments) -> list[dict[str, Any]]:
    rows = await pool.fetch(query("find_payments"), *msgspec.structs.astuple(wanted))
    return [dict(row) for row in rows]


async def payment_named(pool: "Pool", name: str) -> str:
    """Our id of the payment, by our or its provider's. Raises NothingOfThatNameError."""
    found: str | None = await pool.fetchval(query("payment_named"), name.strip())
    if found is None:
        raise NothingOfThatNameError(
            f"no payment is called {name!r}; give our id, or the provider's once it is paid"
        )
    return found


def flagged_money(payment: str, state: PaymentState) -> dict[str, Any]:
    """Flagged money that may still be accepted. Raises NotPaidError."""
    for received in state.received:
        if state.ordered and not received.credits + received.refunded_minor + received.reserved_minor:
            return {
                "payment": payment,
                "account": state.ordered.account,
                "provider_payment": received.provider_payment,
                "differs": ", ".join(what for name, what in state.flags if name == received.provider_payment),
                "paid_minor": received.amount_minor,
                "currency": received.currency,
                "ordered_minor": state.ordered.amount_minor,
                "ordered_credits": state.ordered.credits,
            }
    raise NotPaidError(f"payment {payment} has no flagged money that is still here")


async def history(pool: "Pool", name: str) -> list[dict[str, Any]]:
    """Events of a payment: position, time (epoch µs), type, words. Raises NothingOfThatNameError."""
    stream = payment_stream(await payment_named(pool, name))
    return [
        {
            "payment": stream.removeprefix(payment_stream("")),
            "position": recorded.position,
            "time_us": recorded.recorded_at_us,
            "type": recorded.type,
            "what": describe(decode(recorded)),
        }
        for recorded in await LogReader(pool).stream(stream)
    ]
