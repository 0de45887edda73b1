"""docs/observability.md lists the metrics there are: names, types and labels."""

import ast
import importlib
import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from tests.support.each import each
from tests.support.services import ROOT
from tests.support.source import parse

DOC = Path(ROOT, "docs/observability.md")
SERVICES = ("bot", "worker", "relay", "projector", "notifier", "monitor", "maintenance", "web", "dashboard")
_ROW = re.compile(r"^\| `(neurocards_\w+)` \| (\w+) \| ([\w, ]*?) ?\| ([\w, ]+) \| ", flags=re.MULTILINE)


def metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every metric's name as it is exposed, with its type and labels."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for path in sorted(Path(ROOT, "services").rglob("metrics.py")):
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                suffix = "_total" if metric._type == "counter" else ""
                found[metric._name + suffix] = (str(metric._type), tuple(metric._labelnames))
    return found


def documented() -> list[tuple[str, tuple[str, tuple[str, ...]]]]:
    rows = _ROW.findall(DOC.read_text(encoding="utf-8"))
    return [(name, (kind, tuple(re.findall(r"\w+", labels)))) for name, kind, labels, _ in rows]


def test_the_document_lists_what_there_is_and_nothing_else() -> None:
    listed = documented()
    assert sorted(listed) == sorted(metrics().items())
    assert len(dict(listed)) == len(listed)


def test_the_processes_are_those_there_are() -> None:
    named = {process for *_, words in _ROW.findall(DOC.read_text("utf-8")) for process in words.split(", ")}
    assert named == set(SERVICES)


def test_metrics_are_made_in_modules_of_that_name_only() -> None:
    """Or the test above would not see them."""
    makers = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}
    found = [
        str(path.relative_to(ROOT))
        for top in ("events", "ledger", "projections", "services")
        for path in Path(ROOT, top).rglob("*.py")
        if path.name != "metrics.py"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.module == "prometheus_client"
        if makers & {alias.name for alias in node.names}
    ]
    assert found == []


@each("name", sorted(metrics()))
def test_no_label_tells_who(name: str) -> None:
    """`account` is a provider account's short name, on the metrics of the provider only."""
    _, labels = metrics()[name]
    assert not {"job", "user", "seller", "chat", "order", "task", "key"} & set(labels)
    assert "account" not in labels or name.startswith("neurocards_provider_")


def test_histograms_and_times_say_their_unit() -> None:
    for name, (kind, _) in metrics().items():
        if kind == "counter":
            assert name.endswith("_total"), name
        if "timestamp" in name:
            assert name.endswith("_timestamp_seconds"), name
        assert not name.endswith(("_ms", "_minutes", "_hours", "_age_seconds")), name
