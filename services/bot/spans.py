"""The tap that made an order, as the root of each of its jobs' traces."""

import time

from ledger.commands import OrderVideos
from services.shared import tracing


def record_order(order: OrderVideos, position: int, tapped_ns: int, append_ns: tuple[int, int]) -> None:
    """The order was placed just now: tapped at `tapped_ns`, and appended between two times (time.time_ns).

    Only now it is known that this tap was the one: of several, one makes the order.
    """
    call = {"db.system.name": "postgresql", "db.operation.name": "append"}
    for job in order.jobs:
        tracing.record("append OrderVideos", "client", job, append_ns, attributes=call, position=position)
        tracing.record(
            "order",
            "server",
            job,
            (tapped_ns, time.time_ns()),
            root=True,
            account=order.account,
            order=order.order,
            model=order.model,
            style=order.style,
            position=position,
        )
