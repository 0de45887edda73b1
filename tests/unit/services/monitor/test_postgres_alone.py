"""The monitor keeps promise 7, so it loads nothing that speaks to anybody but Postgres."""

import subprocess
import sys
from typing import Final

import pytest

from services.cli.commands.serve import READS, Service
from services.platform.settings import Settings, load_only
from tests.support.services import ROOT, clean_environment

OTHERS: Final = (
    "redis", "httpx", "aiogram", "openai", "yookassa", "requests", "PIL",
    "services.adapters", "services.accounts", "services.generation", "services.maintenance",
    "services.payments", "services.streams",
)  # fmt: skip


def test_it_loads_nothing_of_others() -> None:
    source = f"import sys, services.monitor.main\nprint(*({OTHERS!r} & sys.modules.keys()))"
    source = source.replace(repr(OTHERS), f"set({OTHERS!r})")
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == []


def test_it_starts_whatever_the_other_settings_are(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = READS[Service.monitor]
    assert reads <= Settings.model_fields.keys()
    wrong = {
        "BOT_TOKEN": "no token",
        "REDIS_URL": "nowhere",
        "KIE_API_URL": "?",
        "PAYMENTS_COMPARE_DAYS": "0",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("REFUND_LIFE_SECONDS", "86400")
    settings = load_only(reads)
    assert (settings.bot_token, settings.redis_url, settings.refund_life_seconds) == (None, None, 86_400)
