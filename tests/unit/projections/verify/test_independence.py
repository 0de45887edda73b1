"""The rules that tell when the deciders are wrong ask them nothing, nor what they are made of."""

from pathlib import Path

from tests.unit.test_architecture import imports

ROOT = Path(__file__).parents[4]
RULES = ("event_fields.py", *(f"invariants/{name}.py" for name in ("log", "lots", "jobs", "payments")))


def test_the_rules_import_nothing_of_the_ledger():
    found = [
        f"{name} imports {module}"
        for name in RULES
        for module, _ in imports(ROOT / "projections" / "verify" / name)
        if module.split(".")[0] == "ledger"
    ]
    assert found == []
