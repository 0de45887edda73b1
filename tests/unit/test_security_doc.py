"""docs/security.md: its table of rights is what the migration writes."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RIGHT = re.compile(r"\('(\w+)',\s+'(\w+)',\s+'(\w*)',\s+'(\w*)',\s+'([\w ]*)'\)")
_LOGINS = ("bot", "web", "worker", "monitor", "maintenance")


def test_the_table_of_rights_is_what_the_migration_writes():
    migration = (ROOT / "ledger/migrations/0002_append.sql").read_text("utf-8")
    document = (ROOT / "docs/security.md").read_text("utf-8")
    expected = [
        (f"`{kind_of_event}`" + (f" {kind}" if kind else ""),
         *("x" if login in logins.split() else "" for login in _LOGINS),
         "yes" if waits else "")
        for _, kind_of_event, kind, waits, logins in RIGHT.findall(migration)
    ]  # fmt: skip
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in document.splitlines()
            if line.startswith("| `") and line.count("|") == 8]  # fmt: skip
    assert len(expected) > 40
    assert rows == expected
