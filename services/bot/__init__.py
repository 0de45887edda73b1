"""The Telegram bot: a seller's way from a photo to an order; the notifier tells the rest.

A router per feature. An update may come twice (see services.bot.inbox), so every handler can be run again:
what matters has an idempotency key, and the answer is sent before the step is left behind.
"""

from services.adapters.telegram.lazy_models import build_when_used

build_when_used()
