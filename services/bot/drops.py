"""Updates that nobody is answered for: said in one line and counted, never in silence."""

from typing import Literal

import structlog

from services.bot.inbox.metrics import DROPPED

logger = structlog.get_logger()

Reason = Literal["not_private", "no_person", "erased", "service", "unhandled", "malformed"]


def drop(kind: str, reason: Reason) -> None:
    """Say that an update leads to nothing. `kind` is the Bot API's word for it, or `unknown`."""
    DROPPED.labels(kind, reason).inc()
    logger.info("update_dropped", kind=kind, reason=reason)
