"""The rules that tell when the deciders are wrong ask them nothing, nor what they are made of."""

from pathlib import Path

from tests.unit.test_architecture import imports

ROOT = Path(__file__).parents[3]
RULES = (
    "event_fields.py",
    *(
        f"invariants/{name}.py"
        for name in ("log", "lots", "jobs", "late_results", "payments", "payment_amounts")
    ),
)


def test_the_rules_import_nothing_of_the_ledger():
    found = [
        f"{name} imports {module}"
        for name in RULES
        for module, _ in imports(ROOT / "projections" / "verify" / name)
        if module.split(".")[0] == "ledger"
    ]
    assert found == []


def test_what_they_import_does_neither_when_it_is_imported():
    """`snapshots` asks the ledger for its format's name, when it is called."""
    path = ROOT / "projections" / "verify" / "invariants" / "snapshots.py"
    modules = {module for module, _ in imports(path, top_level_only=True)}
    plumbing = {
        "ledger",
        "ledger.sql",
        "ledger.sql.load_queries",
        "ledger.postgres",
        "ledger.postgres.Connection",
    }
    assert not any(module.startswith("ledger") for module in modules - plumbing), modules
