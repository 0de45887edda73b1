"""A drill strikes a local system that is wholly its own, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from services.platform.settings import load_settings
from services.rehearsal.system import DrillRefusedError, LocalStack, refusal
from tests.support.each import each

SOCKETS = "/data/it's run"
TOLD: dict[str, Any] = {
    "database_url": "postgresql://postgres@/neurocards?host=/data/it%27s%20run/pg",
    "database_owner_url": "postgresql://postgres@/neurocards?host=/data/it%27s%20run/pg",
    "redis_url": "unix:///data/it%27s%20run/valkey.sock?db=0",
    "embedded": ["Postgres", "Valkey"],
    "sandbox_for": ["telegram", "kie", "openai", "yookassa"],
    "sandbox_url": "http://127.0.0.1:8081",
}


def test_a_local_system_on_the_sandbox_may_be_struck() -> None:
    assert refusal(TOLD, SOCKETS) is None


@each(
    ("change", "reason"),
    [
        ({"embedded": ["Postgres"]}, "not its own"),
        ({"redis_url": "redis://redis.example.com:6379/0"}, "redis_url is not a socket"),
        ({"database_url": "postgresql://app@db.example.com/neurocards"}, "database_url is not a socket"),
        ({"sandbox_for": ["telegram", "openai", "yookassa"]}, "speaks to kie for real"),
        ({"sandbox_url": None}, "only its databases run"),
        ({"sandbox_for": []}, "speaks to telegram, kie, openai, yookassa for real"),
    ],
)
def test_any_other_is_refused(change: dict[str, Any], reason: str) -> None:
    assert reason in str(refusal(TOLD | change, SOCKETS))


def test_a_system_that_does_not_say_what_it_is_is_refused() -> None:
    old = {name: TOLD[name] for name in ("database_url", "redis_url")}
    assert refusal(old, SOCKETS) is not None


def test_nothing_that_runs_is_nothing_to_strike(tmp_path: Path) -> None:
    with pytest.raises(DrillRefusedError, match="no `neurocards up` runs there"):
        LocalStack(load_settings(data_dir=tmp_path))
