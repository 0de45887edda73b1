"""The files by which Prometheus, Alertmanager and Grafana watch us."""

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.support.services import ROOT

RULES = ROOT / "docker/prometheus/alerts.yml"
RULES_TEST = ROOT / "docker/prometheus/alerts_test.yml"
CONFIG = ROOT / "docker/prometheus/prometheus.yml"
DASHBOARDS = sorted((ROOT / "docker/grafana/dashboards").glob("*.json"))

_NAME = re.compile(r"\bneurocards_\w+")


def alerts() -> list[dict[str, Any]]:
    """Every alert, in the file's order."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard(path: Path) -> dict[str, Any]:
    """One dashboard."""
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def expressions(board: dict[str, Any]) -> list[str]:
    """Everything that a dashboard asks Prometheus."""
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return asked + [note["expr"] for note in board["annotations"]["list"]]


def series_named(text: str) -> set[str]:
    """The series that an expression is about."""
    return set(_NAME.findall(text))


def matched(expression: str, label: str) -> set[str]:
    """The values of a label that an expression names, in any kind of matcher."""
    return {
        value
        for found in re.findall(rf'\b{label}(?:=|!=|=~|!~)"([^"]*)"', expression)
        for value in found.split("|")
    }
