"""docs/security.md: its table of rights is what the migration writes."""

import re
from pathlib import Path

from services.cli.commands.serve import Service
from services.platform.settings import variable_name
from services.platform.settings_secrets import SECRETS

ROOT = Path(__file__).parents[2]
RIGHT = re.compile(r"\('(\w+)',\s+'(\w+)',\s+'(\w*)',\s+'(\w*)',\s+'([\w ]*)'\)")
_LOGINS = ("bot", "web", "worker", "monitor", "maintenance", "dashboard")


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
            if line.startswith("| `") and line.count("|") == 9]  # fmt: skip
    assert len(expected) > 40
    assert rows == expected


def test_the_table_of_secrets_is_what_processes_are_given():
    document = (ROOT / "docs/security.md").read_text("utf-8").partition("| secret |")[2]
    heads, _, *lines = document.partition("\n\n")[0].splitlines()
    processes = re.findall(r"`(\w+)`", heads)
    assert set(processes) == set(Service)
    expected = {
        variable_name(field): {name for name in processes if name in given}
        for field, given in SECRETS.items()
    }
    told = {}
    for line in lines:
        variable, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        told[variable.strip("`")] = {name for name, cell in zip(processes, cells, strict=True) if cell == "x"}
    assert told == expected
