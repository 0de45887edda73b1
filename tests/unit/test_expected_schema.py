"""projections/verify/expected_schema.txt has the sources that the migrations write."""

import re
from hashlib import sha256
from pathlib import Path

from projections.verify import schema_drift
from tests.unit.test_security_doc import RIGHT

_BODY = re.compile(r"CREATE FUNCTION ([\w.]+)\((?:(?!CREATE FUNCTION).)*?AS \$\$(.*?)\$\$", re.DOTALL)
_MIGRATIONS = Path(__file__).parents[2] / "ledger/migrations"


def test_the_sources_are_those_of_the_migrations() -> None:
    """Of the functions whose source Postgres keeps as it is; the others are compared in a database."""
    sources = {name.split("(")[0]: facts.get("source") for name, facts in schema_drift.expected().items()}
    bodies = [found for path in _MIGRATIONS.glob("*.sql") for found in _BODY.findall(path.read_text("utf-8"))]
    assert {"ledger.append", "ledger.enter", "refuse_rewriting"} <= {name for name, _ in bodies}
    for name, body in bodies:
        whole = name if "." in name else f"public.{name}"
        assert sources[f"function {whole}"] == sha256(body.encode()).hexdigest(), (
            f"{whole} has changed: python -m tests.support.expected_schema"
        )


def test_the_rights_to_append_are_those_of_the_migration() -> None:
    text = (_MIGRATIONS / "0002_append.sql").read_text("utf-8")
    written = {
        f"right to append {type_} {kind}".strip(): {
            "in": f"{stream}-",
            "waits": "true" if waits else "false",
            "roles": ", ".join(f"neurocards_{login}" for login in ["operator", *logins.split()]),
        }
        for stream, type_, kind, waits, logins in RIGHT.findall(text)
    }
    ours = {name: facts for name, facts in schema_drift.expected().items() if name.startswith("right ")}
    assert ours == written, "python -m tests.support.expected_schema"
