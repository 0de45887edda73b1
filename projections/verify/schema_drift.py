"""Schema drift: the functions, owners and rights of the log, against what the migrations make.

Whoever owns the database can change the functions that append, or whom they belong to: by hand, or by a
restore with `pg_restore --no-owner`. `expected_schema.txt` has what the migrations make;
`python -m tests.support.expected_schema` writes it.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from ledger.postgres import Connection
from ledger.sql import load_queries

query = load_queries("projections.verify")

POSTGRES: Final = 18
"""Major version that has written `expected_schema.txt`.

Another one's text of bodies in standard SQL is not compared.
"""
_SEPARATOR: Final = " | "
_UNKNOWN: Final = "?"

Facts = Mapping[str, str]


async def found(connection: Connection) -> dict[str, Facts]:
    """The log's objects by name, with owner, rights and definition.

    E.g. `table public.events`: {"owner": "neurocards_log", …}, whatever the connection's search path is.
    """
    unqualified = connection.transaction()
    await unqualified.start()
    try:
        await connection.execute("SET LOCAL search_path = pg_catalog")
        rows = await connection.fetch(query("log_schema"), POSTGRES)
    finally:
        await unqualified.rollback()
    return {row["name"]: _facts(row["facts"]) for row in rows}


def text(objects: Mapping[str, Facts]) -> str:
    """As `expected_schema.txt` has them, one a line."""
    return "".join(
        _SEPARATOR.join([name, *(f"{key}={value}" for key, value in facts.items())]) + "\n"
        for name, facts in objects.items()
    )


def expected() -> dict[str, Facts]:
    lines = (files(__package__) / "expected_schema.txt").read_text("utf-8").splitlines()
    return {name: _facts(facts) for name, *facts in (line.split(_SEPARATOR) for line in lines)}


async def differences(connection: Connection) -> list[str]:
    """Messages about objects that are missing, added, or made otherwise."""
    there, wanted = await found(connection), expected()
    said = [f"{name} is missing" for name in wanted if name not in there]
    for name, facts in there.items():
        if name not in wanted:
            said.append(f"{name} is not ours")
            continue
        said += [
            f"{name}: {key} is {value or 'nothing'}, and should be {wanted[name].get(key) or 'nothing'}"
            for key, value in facts.items()
            if value not in (_UNKNOWN, wanted[name].get(key))
        ]
    return said


async def open_rights(connection: Connection) -> list[str]:
    """The REVOKEs that are missing: with these rights any login can hold up every append of the cluster."""
    return [row[0] for row in await connection.fetch(query("open_rights"))]


def _facts(facts: list[str]) -> Facts:
    return dict(fact.split("=", 1) for fact in facts)
