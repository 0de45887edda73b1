"""How pytest-xdist spreads the tests: one by one, but to one process all that share what is costly.

(xdist's own `loadgroup` does this by a suffix to a test's id, which pytest 9 no longer lets it add.)
"""

from typing import Any

SHARED = {
    "tests/unit/test_architecture.py": "source",
    "tests/unit/test_tidy.py": "source",
    "tests/unit/test_metrics_doc.py": "source",
    "tests/unit/shared/test_tracing.py": "source",
    "tests/unit/ledger/test_job_diagram.py": "job diagram",
    "tests/integration/bot/test_bad_input.py": "one bot",
    "tests/integration/bot/test_twice.py": "one bot",
    "tests/integration/bot/test_cabinet.py": "another bot",
    "tests/integration/bot/test_flow.py": "another bot",
    "tests/integration/bot/test_gifts.py": "another bot",
    "tests/integration/bot/test_models.py": "another bot",
    "tests/integration/bot/test_moderation.py": "another bot",
    "tests/integration/buying/test_admin.py": "one till",
    "tests/integration/buying/test_card.py": "one till",
    "tests/integration/buying/test_receipt.py": "one till",
    "tests/integration/buying/test_stars.py": "one till",
    "tests/e2e/test_buying.py": "one system",
    "tests/e2e/test_cycle.py": "one system",
    "tests/e2e/test_killed.py": "one system",
    "tests/e2e/test_told.py": "one system",
    "tests/chaos/test_drills.py": "drills",
    "tests/chaos/test_every_moment.py": "every moment",
    "tests/chaos/test_storm.py": "storm",
}
"""Module to group."""


def scheduling(config: Any, log: Any) -> Any:
    """For the hook pytest_xdist_make_scheduler: each group in one process; None leaves it to xdist."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped,unused-ignore]

    class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc,unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return SHARED.get(nodeid.partition("::")[0], nodeid)

    return GroupScheduling(config, log) if config.getvalue("dist") == "load" else None
