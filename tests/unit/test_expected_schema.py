"""projections/verify/expected_schema.txt has the sources that the migrations write."""

import re
from hashlib import sha256
from pathlib import Path

from projections.verify import schema_drift
from tests.unit.test_security_doc import RIGHT

_BODY = re.compile(r"CREATE FUNCTION ([\w.]+)\((?:(?!CREATE FUNCTION).)*?AS \$\$(.*?)\$\$", re.DOTALL)
_ROOT = Path(__file__).parents[2]
_MIGRATIONS = _ROOT / "ledger/migrations"
_MADE = re.compile(r"^CREATE (TABLE|VIEW) ([\w.]+)", re.MULTILINE)


def test_the_sources_are_those_of_the_migrations() -> None:
    """Of the functions whose source Postgres keeps as it is; the others are compared in a database."""
    sources = {name.split("(")[0]: facts.get("source") for name, facts in schema_drift.expected().items()}
    bodies = [found for path in _MIGRATIONS.glob("*.sql") for found in _BODY.findall(path.read_text("utf-8"))]
    assert {"ledger.append", "ledger.enter", "refuse_rewriting"} <= {name for name, _ in bodies}
    for name, body in bodies:
        whole = name if "." in name else f"public.{name}"
        assert sources[f"function {whole}"] == sha256(body.encode()).hexdigest()[:16], (
            f"{whole} has changed: python -m tests.support.expected_schema"
        )


def test_the_rights_to_append_are_those_of_the_migration() -> None:
    text = (_MIGRATIONS / "0002_append.sql").read_text("utf-8")
    written = {
        f"right to append {type_} {kind}".strip(): {
            "in": f"{stream}-",
            "roles": ", ".join(f"neurocards_{login}" for login in ["operator", *logins.split()]),
            **({"waits": "true"} if waits else {}),
        }
        for stream, type_, kind, waits, logins in RIGHT.findall(text)
    }
    ours = {name: facts for name, facts in schema_drift.expected().items() if name.startswith("right ")}
    assert ours == written, "python -m tests.support.expected_schema"


def test_every_table_and_view_of_the_migrations_is_there() -> None:
    texts = [path.read_text("utf-8") for path in _ROOT.glob("*/migrations/*.sql")]
    made = {
        f"{kind.lower()} {name if '.' in name else 'public.' + name}"
        for text in texts
        for kind, name in _MADE.findall(text)
    }
    assert len(made) > 30
    missing = made - schema_drift.expected().keys()
    assert not missing, f"{missing}: python -m tests.support.expected_schema"
