"""Statements of a migration, and the locks their first words tell of."""

import re
from typing import Final, NamedTuple

NO_TRANSACTION: Final = "-- no transaction\n"
"""First line of a file whose statements run one by one, e.g. to create an index concurrently.

Such a file has to be repeatable: what came before a failure stays.
"""

_QUIET: Final = re.compile(r"--[^\n]*|\$(\w*)\$.*?\$\1\$|'(?:[^']|'')*'", re.DOTALL)
_LOG: Final = re.compile(r"\b(events|open_jobs|checkpoints|snapshots)\b|\bledger\.", re.IGNORECASE)
_NAME: Final = r"(?:IF (?:NOT )?EXISTS )?(?:ONLY )?([\w.\"]+)"
_LOCKS: Final = [
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), lock)
    for pattern, lock in (
        (
            r"(?:CREATE (?:UNIQUE )?|DROP )INDEX CONCURRENTLY .*?\bON ([\w.\"]+)",
            "SHARE UPDATE EXCLUSIVE: nobody waits",
        ),
        (rf"DROP INDEX CONCURRENTLY {_NAME}", "SHARE UPDATE EXCLUSIVE: nobody waits"),
        (r"CREATE (?:UNIQUE )?INDEX .*?\bON (?:ONLY )?([\w.\"]+)", "SHARE: writers wait while it is built"),
        (rf"ALTER TABLE {_NAME} VALIDATE CONSTRAINT", "SHARE UPDATE EXCLUSIVE: nobody waits"),
        (rf"ALTER (?:TABLE|VIEW|INDEX) {_NAME}", "ACCESS EXCLUSIVE: everybody waits"),
        (rf"(?:TRUNCATE|DROP (?:TABLE|VIEW|INDEX)) {_NAME}", "ACCESS EXCLUSIVE: everybody waits"),
        (r"CREATE OR REPLACE VIEW ([\w.\"]+)", "ACCESS EXCLUSIVE: its readers wait"),
        (
            r"(?:CREATE|DROP) (?:CONSTRAINT )?TRIGGER .*?\bON ([\w.\"]+)",
            "SHARE ROW EXCLUSIVE or more: writers wait",
        ),
        (r"(?:INSERT INTO|UPDATE|DELETE FROM) ([\w.\"]+)", "ROW EXCLUSIVE: who writes the same rows waits"),
        (
            r"CREATE (?:TABLE|VIEW) (?:IF NOT EXISTS )?([\w.\"]+)",
            "only of what is new, and of what it REFERENCES",
        ),
        (r"(?:CREATE|ALTER|DROP) (?:OR REPLACE )?(?:FUNCTION|PROCEDURE|SCHEMA|ROLE)()", "no table's"),
        (r"(?:GRANT|REVOKE|COMMENT|SET)()\b", "no table's that others wait for"),
    )
]


class Locked(NamedTuple):
    """A statement's first words, the table, and its lock with who waits; "not known" says so."""

    statement: str
    table: str
    lock: str


def statements(sql: str) -> list[str]:
    """Statements without comments, split at semicolons outside strings and bodies."""
    found, begun, spans = list[str](), 0, [match.span() for match in _QUIET.finditer(sql)]
    atomic = [match.span() for match in re.finditer(r"\bBEGIN ATOMIC\b.*?\bEND;", sql, re.DOTALL)]
    for match in re.finditer(";", sql):
        at = match.start()
        if not any(start <= at < end for start, end in spans) and not any(
            start <= at < end - 1 for start, end in atomic
        ):
            found.append(sql[begun:at])
            begun = at + 1
    return [
        text
        for part in [*found, sql[begun:]]
        if (text := re.sub(r"^(\s*--[^\n]*(\n|$)|\s+)*", "", part).strip())
    ]


def touches_log(sql: str) -> bool:
    """Whether it names what belongs to the log; then it takes the append lock first."""
    return _LOG.search(re.sub(r"--[^\n]*", "", sql)) is not None


def locks(sql: str) -> list[Locked]:
    """Locks by statement. What a DO block or a function's body does is not known."""
    found = []
    for statement in statements(sql):
        words = " ".join(statement.split())
        for pattern, lock in _LOCKS:
            if match := pattern.match(words):
                found.append(Locked(words[:60], match[1], lock))
                break
        else:
            found.append(Locked(words[:60], "", "not known: read it"))
    return found
