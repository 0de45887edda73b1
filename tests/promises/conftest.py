"""What the tests of the promises share with those of the parts."""

from tests.integration.conftest import ledger, owner, plain_tracebacks, pool, redis, settings, traffic
from tests.integration.ledger.conftest import proxied
from tests.integration.projections.conftest import catch_up
from tests.integration.services.maintenance.conftest import studio
from tests.integration.services.relay.conftest import published, start_relay

__all__ = [
    "catch_up", "ledger", "owner", "plain_tracebacks", "pool", "proxied", "published", "redis",
    "settings", "start_relay", "studio", "traffic",
]  # fmt: skip
