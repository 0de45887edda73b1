"""Migrations of the projections, and read models made of their rows.

A field that a row gets last and with a default becomes a column; `neurocards replay NAME` gives its values.
"""

from ledger.postgres import Connection, Reader
from ledger.sql import load_queries
from projections.engine import cursors
from projections.engine.registry import PROJECTIONS
from projections.engine.tables import Table

query = load_queries("projections.engine")


async def lacking(reader: Reader) -> list[str]:
    """Read models that the database lacks, and `name.column` of those it has."""
    return [said for name, columns in (await _lacking(reader)).items() for said in _said(name, columns)]


async def complete(connection: Connection) -> list[str]:
    """Make what read models lack: what `lacking` says. Needs the owner's rights."""
    made: list[str] = []
    for name, columns in (await _lacking(connection)).items():
        projection = PROJECTIONS[name]
        if columns == projection.columns:
            table = Table(projection, 1)
            await table.create(connection)
            await table.index(connection)
            await table.show(connection)
            await connection.execute(f"GRANT SELECT ON {name} TO neurocards_reader")
            await cursors.register(connection, name)
        else:
            version, _ = await cursors.where_is(connection, name)
            table = Table(projection, version)
            await table.extend(connection, columns)
            await table.show(connection)
        made += _said(name, columns)
    return made


async def _lacking(reader: Reader) -> dict[str, tuple[str, ...]]:
    rows = await reader.fetch(query("view_columns"), list(PROJECTIONS))
    shown = {(row["name"], row["column"]) for row in rows}
    found = {name: tuple(c for c in p.columns if (name, c) not in shown) for name, p in PROJECTIONS.items()}
    return {name: columns for name, columns in found.items() if columns}


def _said(name: str, columns: tuple[str, ...]) -> list[str]:
    return [name] if columns == PROJECTIONS[name].columns else [f"{name}.{column}" for column in columns]
