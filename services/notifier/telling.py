"""What logs and traces say of a delivery."""

from contextlib import AbstractContextManager

from services.notifier.messages import Delivery
from services.shared import tracing


def about(delivery: Delivery) -> dict[str, str | int]:
    """What its log lines say; `position` is that of the event that the chat is told of."""
    return {
        "payment" if delivery.is_payment else "job": delivery.job,
        "account": delivery.account,
        "position": delivery.position,
        "kind": delivery.kind,
    }


def span_of(delivery: Delivery) -> AbstractContextManager[tracing.Span]:
    """Around its sending, in the job's trace."""
    if delivery.is_payment:
        return tracing.NO_SPAN
    return tracing.span(
        "deliver",
        job=delivery.job,
        account=delivery.account,
        position=delivery.position,
        delivery=delivery.kind,
    )
