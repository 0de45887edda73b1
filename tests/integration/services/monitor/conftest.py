"""The fixtures of maintenance do here too."""

from tests.integration.services.maintenance.conftest import ledger, pool, redis, studio

__all__ = ["ledger", "pool", "redis", "studio"]
