"""The dashboard's metrics."""

from typing import Final

from prometheus_client import Counter

LOGINS: Final = Counter("neurocards_dashboard_logins_total", "Attempts to log in", ["outcome"])
for _outcome in ("in", "wrong", "refused"):
    LOGINS.labels(_outcome)  # a counter that begins at its first attempt would not count it
