"""Tables of read models are made of their rows, and get the columns of fields that a row has got since."""

import pytest

from projections.engine.registry import PROJECTIONS
from services.migrations import Compared, compare, migrate
from services.platform.database import create_pool
from services.platform.errors import StartError
from services.platform.settings import Settings
from tests.integration.projections.conftest import CatchUp, view_equals_log
from tests.support.traffic import Traffic

OLDER = """
DROP VIEW {name};
ALTER TABLE {name}_v1 DROP COLUMN {column};
CREATE VIEW {name} AS SELECT * FROM {name}_v1;
GRANT SELECT ON {name} TO neurocards_reader;
"""
LAST = {name: projection.columns[-1] for name, projection in PROJECTIONS.items()}


async def test_columns_that_are_lacking_are_said_and_made(
    owner, pool, database_url: str, settings: Settings, traffic: Traffic, catch_up: CatchUp
) -> None:
    await traffic.play(20)
    await catch_up()
    lacking = [f"job_status.{LAST['job_status']}", f"payments.{LAST['payments']}"]
    for each in lacking:
        name, _, column = each.partition(".")
        await owner.execute(OLDER.format(name=name, column=column))
    assert await compare(owner) == Compared(lacking, [])
    with pytest.raises(StartError, match=f"lacks {lacking[0]}, {lacking[1]}; run `neurocards migrate`"):
        await create_pool(settings, "test")

    assert await migrate(database_url) == lacking
    assert await compare(pool) == Compared([], [])
    assert await migrate(database_url) == []
    await traffic.play(20)
    await catch_up()
    assert await view_equals_log(pool, "job_status")


async def test_what_stood_there_before_has_the_fields_default(
    owner, database_url: str, traffic, catch_up
) -> None:
    await traffic.play(5)
    await catch_up("balances")
    rows = await owner.fetch("SELECT * FROM balances")
    await owner.execute(OLDER.format(name="balances", column="lots_made"))
    await owner.execute(OLDER.format(name="balances", column="next_expiry_at_us"))
    await owner.execute(OLDER.format(name="balances", column="forgotten_at_us"))
    assert len(await migrate(database_url)) == 3
    found = await owner.fetch("SELECT lots_made, next_expiry_at_us, forgotten_at_us FROM balances")
    assert rows and {tuple(row) for row in found} == {(0, None, None)}
