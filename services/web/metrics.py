"""The web process's metrics."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

CALLBACKS: Final = Counter(
    "neurocards_callbacks_total", "Provider callbacks, by what came of them", ["outcome"]
)
NOTIFICATIONS: Final = Counter(
    "neurocards_payments_notifications_total", "YooKassa's notifications, by what came of them", ["outcome"]
)
TELEGRAM_UPDATES: Final = Counter(
    "neurocards_webhook_updates_total", "Updates that Telegram sent, by what came of them", ["outcome"]
)
REQUESTS: Final = Histogram(
    "neurocards_web_request_seconds", "Time to answer, by route and status", ["route", "status"]
)
IN_FLIGHT: Final = Gauge("neurocards_web_requests_in_flight", "Requests that are being answered")
