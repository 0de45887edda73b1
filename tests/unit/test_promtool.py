"""What Prometheus itself says of our configuration, rules and questions. Needs its promtool."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.watching import CONFIG, DASHBOARDS, RULES_TEST, dashboard, expressions

PROMTOOL = shutil.which("promtool")
pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="there is no promtool: install Debian's package `prometheus`, or Prometheus"
)


def promtool(*words: str | Path) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_and_its_rules_can_be_read() -> None:
    promtool("check", "config", CONFIG)


def test_every_alert_fires_when_it_should_and_is_quiet_when_it_should_not() -> None:
    promtool("test", "rules", RULES_TEST)


def test_every_question_of_a_dashboard_can_be_asked(tmp_path: Path) -> None:
    asked = [expr for path in DASHBOARDS for expr in expressions(dashboard(path))]
    rules = [{"record": f"panel:{number}", "expr": expr} for number, expr in enumerate(asked)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", path)
