"""Schema drift: the definitions, owners and rights of everything of ours, and our roles.

Whoever owns the database can change the functions that append, what refuses rewriting, or whom they belong
to: by hand, or by a restore with `pg_restore --no-owner`. `expected_schema.txt` has what the migrations
make; `python -m tests.support.expected_schema` writes it.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec

from ledger.postgres import Connection
from ledger.sql import load_queries

query = load_queries("projections.verify")

POSTGRES: Final = (17, 18)
"""Major versions that write definitions as `expected_schema.txt` has them.

Another one's text of views, and of bodies in standard SQL, is not compared.
"""
NEWER: Final = "a newer version has applied "
"""Begins the message that says why this version finds other differences too."""
_SEPARATOR: Final = " | "
_UNKNOWN: Final = "?"
_SAID_MAX: Final = 150

Facts = Mapping[str, str]


async def found(connection: Connection) -> dict[str, Facts]:
    """Our objects by name, with owner, rights and definition.

    E.g. `table public.events`: {"owner": "neurocards_log", …}, whatever the connection's search path is.
    """
    unqualified = connection.transaction()
    await unqualified.start()
    try:
        await connection.execute("SET LOCAL search_path = pg_catalog")
        rows = await connection.fetch(query("schema"), POSTGRES)
    finally:
        await unqualified.rollback()
    return {row["name"]: _facts(msgspec.json.decode(row["facts"])) for row in rows}


def _facts(there: dict[str, Any]) -> Facts:
    facts = {key: "true" if value is True else value for key, value in sorted(there.items()) if value}
    if facts.get("source", _UNKNOWN) != _UNKNOWN:
        facts["source"] = sha256(facts["source"].encode()).hexdigest()[:16]
    return facts


def text(objects: Mapping[str, Facts]) -> str:
    """As `expected_schema.txt` has them, one a line."""
    return "".join(
        _SEPARATOR.join([name, *(f"{key}={value}" for key, value in facts.items())]) + "\n"
        for name, facts in objects.items()
    )


@cache
def expected() -> dict[str, Facts]:
    lines = (files(__package__) / "expected_schema.txt").read_text("utf-8").splitlines()
    split = (line.split(_SEPARATOR) for line in lines)
    return {name: dict(fact.split("=", 1) for fact in facts) for name, *facts in split}


async def differences(connection: Connection) -> list[str]:
    """Messages about objects that are missing, added, or made otherwise.

    Needs a transaction of its own, or none: definitions are read as they are now, whatever its snapshot, and
    keep a lock on what they name. What a migration or a swap of read models changes meanwhile is read again.
    """
    said = await _differences(connection)
    return said and [one for one in await _differences(connection) if one in said]


async def _differences(connection: Connection) -> list[str]:
    there, wanted = await found(connection), expected()
    said = [f"{name} is missing" for name in wanted if name not in there]
    for name, facts in there.items():
        if name not in wanted and name.startswith("migration "):
            said.append(NEWER + name)
            continue
        if name not in wanted:
            said.append(f"{name} is not ours{''.join(f', {key} {facts[key]}' for key in facts)}"[:_SAID_MAX])
            continue
        known = wanted[name]
        said += [
            f"{name}: {key} is {_short(facts.get(key))}, and should be {_short(known.get(key))}"
            for key in sorted(facts.keys() | known.keys())
            if facts.get(key) not in (_UNKNOWN, known.get(key))
        ]
    return said


def _short(value: str | None) -> str:
    return (value or "nothing")[:_SAID_MAX]


async def open_rights(connection: Connection) -> list[str]:
    """GRANTs and REVOKEs that a superuser has to run, in this order.

    With the rights to be revoked any login can hold up every append of the cluster.
    """
    return [row[0] for row in await connection.fetch(query("open_rights"))]
