"""`neurocards dashboard users`: made, given another role, listed, removed, and the name erased."""

import asyncio
import re

import asyncpg

from tests.integration.services.cli.conftest import Run


def test_users_are_made_and_removed_by_command(run: Run, database_url: str) -> None:
    def users(*words: str, code: int = 0):
        done = run("dashboard", "users", *words)
        assert done.code == code, done
        return done

    (made,) = users("add", "olga", "--role", "auditor", "-o", "json").rows
    assert re.fullmatch(r"http://127\.0\.0\.1:8090/link/[\w-]{43}", made["link"])
    (other,) = users("add", "olga", "--role", "owner", "-o", "json").rows
    assert other["link"] != made["link"]
    (row,) = users("list", "-o", "json").rows
    assert (row["name"], row["role"], row["sessions"], row["removed_us"]) == ("olga", "owner", 0, None)
    assert row["invited_by"] == "neurocards_operator"
    assert "hash" not in str(row) and made["link"][-43:] not in asyncio.run(_everything(database_url))
    users("remove", "anna", "--yes", code=4)
    users("remove", "olga", code=2)
    users("remove", "olga", "--dry-run")
    assert users("list", "-o", "json").rows == [row]
    assert "0 sessions were ended" in users("remove", "olga", "--yes").err
    users("remove", "olga", "--yes", code=4)
    assert users("list", "-o", "json").rows[0]["name"] == "olga", "who did something is still to be answered"
    users("add", "olga", "--role", "operator")
    assert [row["role"] for row in users("list", "-o", "json").rows] == ["operator", "owner"]
    users("remove", "olga", "--erase", "--yes")
    assert {row["name"] for row in users("list", "-o", "json").rows} == {""}
    users("add", " ", "--role", "owner", code=2)


async def _everything(database_url: str) -> str:
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch("SELECT * FROM dashboard_users")
    await connection.close()
    return str([dict(row) for row in rows])
