"""Alerts, dashboards and the runbook speak of what there is, and of the same things."""

import re
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import typer
import yaml

from projections.verify.findings import DATABASE_KINDS
from services.cli.main import app
from services.generation.error_classes import POLICIES
from tests.support.each import each
from tests.support.services import ROOT
from tests.support.watching import (
    DASHBOARDS,
    RULES,
    RULES_TEST,
    alerts,
    dashboard,
    expressions,
    matched,
    series_named,
)
from tests.unit.test_metrics_doc import metrics

RUNBOOK = ROOT / "docs/runbook.md"
ALERTS = {alert["alert"]: alert for alert in alerts()}


def series() -> set[str]:
    """The names under which our metrics are scraped."""
    found = set()
    for name, (kind, _) in metrics().items():
        found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return found


@each("name", ALERTS)
def test_an_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"] == {"severity": alert["labels"]["severity"]}
    assert alert["labels"]["severity"] in ("critical", "warning", "none")
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["runbook_url"] == f"docs/runbook.md#{name.lower()}"


def test_the_runbook_has_exactly_these_alerts_each_with_its_severity() -> None:
    sections = re.split(r"^### ", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    told = [(section.split("\n")[0], re.split(r"[.;]", section.split("\n")[2])[0]) for section in sections]
    assert told == [(name, alert["labels"]["severity"]) for name, alert in ALERTS.items()]


def test_what_the_runbook_quotes_from_logs_and_tables_is_there() -> None:
    quoted = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", RUNBOOK.read_text(encoding="utf-8")))
    ours = {
        word
        for folder in ("services", "ledger", "projections")
        for path in Path(ROOT, folder).rglob("*")
        if path.suffix in (".py", ".sql")
        for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))
    }
    assert quoted - ours == {"pg_dump"}


def test_every_series_that_is_asked_for_exists() -> None:
    asked = {name for path in (RULES, RULES_TEST) for name in series_named(path.read_text("utf-8"))}
    for path in DASHBOARDS:
        asked |= {name for expr in expressions(dashboard(path)) for name in series_named(expr)}
    assert asked - series() == set()


def test_the_alerts_know_every_kind_of_damage_once() -> None:
    kinds = Counter(kind for alert in ALERTS.values() for kind in matched(alert["expr"], "kind"))
    del kinds["foreign"]  # of payments
    assert kinds == Counter(DATABASE_KINDS)


def test_labels_have_values_that_occur() -> None:
    expressions_ = [alert["expr"] for alert in ALERTS.values()]
    expressions_ += [expr for path in DASHBOARDS for expr in expressions(dashboard(path))]
    classes = {value for expr in expressions_ for value in matched(expr, "error_class")}
    assert classes and classes <= POLICIES.keys()
    results = {value for expr in expressions_ for value in matched(expr, "result")}
    assert results and results <= POLICIES.keys() | {"ok", "error"}
    mains = [(ROOT / f"services/{name}/main.py").read_text("utf-8") for name in ("monitor", "maintenance")]
    started = set(re.findall(r'\.start\("(\w+)"', "".join(mains)))
    rounds = {value for expr in expressions_ for value in matched(expr, "round")}
    assert rounds and rounds <= started


def test_each_alert_is_tested_where_it_fires_and_where_it_must_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for test in yaml.safe_load(RULES_TEST.read_text(encoding="utf-8"))["tests"]:
        for case in test["alert_rule_test"]:
            (fires if case["exp_alerts"] else quiet).add(case["alertname"])
    assert fires == set(ALERTS)
    assert quiet == set(ALERTS) - {"Watchdog"}


@each("path", DASHBOARDS)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = dashboard(path)
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["type"] for panel in panels)
    (variable,) = board["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    sources = [panel["datasource"] for panel in panels if panel["type"] != "row"]
    sources += [target["datasource"] for panel in panels for target in panel.get("targets", ())]
    assert all(source == {"type": "prometheus", "uid": f"${{{variable['name']}}}"} for source in sources)
    for panel in panels:
        names = [target["refId"] for target in panel.get("targets", ())]
        assert len(set(names)) == len(names)
    taken = [
        (column, line)
        for panel in panels
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for line in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken) and max(column for column, _ in taken) < 24


def test_dashboards_have_names_of_their_own() -> None:
    boards = [dashboard(path) for path in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len({board["title"] for board in boards}) == len(boards)
    assert {"overview", "jobs", "ledger", "money"} == {path.stem for path in DASHBOARDS}


def start_alertmanager(folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """The container's command, with something else in Alertmanager's place."""
    command = ["sh", str(ROOT / "docker/alertmanager/start.sh")]
    env = {"PATH": "/usr/bin:/bin", "ALERTMANAGER": "echo", "ALERTMANAGER_MADE": str(folder)} | env
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)


def receivers(folder: Path) -> dict[str, dict[str, Any]]:
    made = yaml.safe_load((folder / "alertmanager.yml").read_text(encoding="utf-8"))
    return {receiver.pop("name"): receiver for receiver in made["receivers"]}


def test_without_receivers_alerts_are_only_shown(tmp_path: Path) -> None:
    done = start_alertmanager(tmp_path)
    assert done.stdout.startswith(f"--config.file={tmp_path}/alertmanager.yml ")
    assert receivers(tmp_path) == {"operators": {}, "watchdog": {}}


def test_receivers_are_those_of_the_environment_and_secrets_stay_out_of_the_configuration(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text("123:planted")
    done = start_alertmanager(
        tmp_path,
        ALERT_TELEGRAM_TOKEN_FILE=str(tmp_path / "token"),
        ALERT_TELEGRAM_CHAT_ID="-1001",
        ALERT_WEBHOOK_URL="https://hook.example/planted",
        ALERT_WATCHDOG_URL="https://dog.example/planted",
    )
    assert done.returncode == 0
    made = receivers(tmp_path)
    assert made["operators"]["telegram_configs"][0]["chat_id"] == -1001
    assert Path(made["operators"]["telegram_configs"][0]["bot_token_file"]).read_text() == "123:planted"
    assert Path(made["operators"]["webhook_configs"][0]["url_file"]).read_text().startswith("https://hook")
    assert Path(made["watchdog"]["webhook_configs"][0]["url_file"]).read_text().startswith("https://dog")
    assert "planted" not in (tmp_path / "alertmanager.yml").read_text() + done.stdout + done.stderr


def test_a_bot_without_a_chat_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("1:a")
    done = start_alertmanager(tmp_path, ALERT_TELEGRAM_TOKEN_FILE=str(tmp_path / "token"))
    assert done.returncode == 2 and "ALERT_TELEGRAM_CHAT_ID" in done.stderr


def test_routes_and_silences_name_alerts_that_there_are() -> None:
    text = (ROOT / "docker/alertmanager/alertmanager.yml").read_text(encoding="utf-8")
    named = re.findall(r'alertname =~? "?([\w|]+)', text)
    assert {name for names in named for name in names.split("|")} <= ALERTS.keys()


def commands() -> list[tuple[str, ...]]:
    """Every command that the runbook tells somebody to type, without `neurocards`, word by word."""
    text = RUNBOOK.read_text(encoding="utf-8")
    quoted = re.findall(r"`neurocards ([^`]+)`", text) + re.findall(
        r"^    neurocards (.+)$", text, re.MULTILINE
    )
    return sorted({tuple(re.sub(r'#.*|"[^"]*"', "", line).split()) for line in quoted} - {("…",)})


@each("words", commands())
def test_what_the_runbook_says_to_type_can_be_typed(words: tuple[str, ...]) -> None:
    found: Any = typer.main.get_command(app)
    while words and not words[0].startswith("-") and hasattr(found, "commands"):
        assert words[0] in found.commands
        found, words = found.commands[words[0]], words[1:]
    options = {option for parameter in found.params for option in parameter.opts} | {"--help"}
    assert {word for word in words if word.startswith("-")} <= options
