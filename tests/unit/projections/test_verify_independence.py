"""The rules that tell when the deciders are wrong ask them nothing, nor what they are made of."""

from pathlib import Path

from tests.unit.test_architecture import imports

ROOT = Path(__file__).parents[3]
RULES = ("rules", "lots", "jobs", "late", "shapes", "payments", "money", "places")


def test_the_rules_import_nothing_of_the_ledger():
    found = [
        f"{name}.py imports {module}"
        for name in RULES
        for module, _ in imports(ROOT / "projections" / "verify" / f"{name}.py")
        if module.split(".")[0] == "ledger"
    ]
    assert found == []


def test_what_they_import_does_neither_when_it_is_imported():
    """`snapshots` asks the ledger for its format's name, when it is called."""
    path = ROOT / "projections" / "verify" / "snapshots.py"
    modules = {module for module, _ in imports(path, top_level_only=True)}
    assert not any(module.startswith("ledger") for module in modules - {"ledger"}), modules
