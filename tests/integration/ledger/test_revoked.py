"""What nobody may: rights of PUBLIC with which a login that only reads would stop every append."""

import asyncio
from collections.abc import Callable

import asyncpg
import pytest

from ledger.errors import MigrationError
from projections.verify import schema_drift
from services.cli.doctor.servers import check_database
from services.local.postgres import EmbeddedPostgres
from services.migrations import migrate
from services.platform.database import create_pool
from services.platform.settings import load_settings
from tests.support.hand_made import append

LOCKS = ("pg_advisory_lock(1)", "pg_try_advisory_lock(1, 2)", "pg_advisory_xact_lock_shared(1)")


@pytest.fixture
def login(postgres, empty_database_url: str) -> Callable[[str], str]:
    """URLs of logins to a database that was migrated itself: copies of one do not have its rights."""
    asyncio.run(migrate(empty_database_url))
    database = empty_database_url.partition("@/")[2].partition("?")[0]
    return lambda name: postgres.url(database, name)


async def test_a_login_that_is_not_ours_does_not_get_in(
    login: Callable[[str], str], empty_database_url: str
) -> None:
    owner = await asyncpg.connect(empty_database_url)
    await owner.execute("CREATE ROLE stranger_of_tests LOGIN")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for database"):
            await asyncpg.connect(login("stranger_of_tests"))
    finally:
        await owner.execute("DROP ROLE stranger_of_tests")
        await owner.close()


@pytest.mark.parametrize(
    ("name", "locking"), [("web", False), ("notifier", False), ("bot", True), ("maintenance", True)]
)
async def test_what_a_service_s_login_may(login: Callable[[str], str], name: str, locking: bool) -> None:
    connection = await asyncpg.connect(login(f"neurocards_{name}"))
    try:
        refused = ["CREATE TEMP TABLE t ()", "SELECT lo_create(0)", "SELECT lo_from_bytea(0, 'x')"]
        refused += [] if locking else [f"SELECT {lock}" for lock in LOCKS]
        for statement in refused:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        if locking:
            await connection.execute("; ".join(f"SELECT {lock}" for lock in LOCKS))
        await connection.reset()
        if name != "notifier":
            assert (await append(connection, []))["outcome"] == "ok"
    finally:
        await connection.close()


async def test_a_service_s_pool_needs_none_of_it(login: Callable[[str], str]) -> None:
    settings = load_settings(database_url=login("neurocards_web"))
    async with await create_pool(settings, "test") as pool:
        for _ in range(3):
            assert await pool.fetchval("SELECT count(*) FROM events") == 0
    async with asyncpg.create_pool(login("neurocards_relay"), min_size=1, max_size=1) as pool:
        for _ in range(3):  # asyncpg's own reset of a connection
            assert await pool.fetchval("SELECT count(*) FROM events") == 0


async def test_the_doctor_names_what_is_missing(login: Callable[[str], str], empty_database_url: str) -> None:
    owner = await asyncpg.connect(empty_database_url)
    try:
        database = await owner.fetchval("SELECT current_database()")

        async def missing() -> list[str]:
            """But for other tests' databases."""
            said = await schema_drift.open_rights(owner)
            return [one for one in said if "CONNECT" not in one or f" {database}" in one]

        assert await missing() == []
        await owner.execute(f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO PUBLIC")
        await owner.execute("GRANT EXECUTE ON FUNCTION pg_advisory_lock(bigint), lo_create(oid) TO PUBLIC")
        found = await missing()
        assert len(found) == 3
        assert found[-1] == "REVOKE EXECUTE ON FUNCTION lo_create(oid), pg_advisory_lock(bigint) FROM PUBLIC"
        checks = await check_database(load_settings(database_url=login("neurocards_operator")))
        (check,) = [check for check in checks if check.name == "everybody's rights"]
        assert check.state == "warn" and found[-1] in check.advice
        await owner.execute(found[-1])
        await owner.execute(found[-2])
        assert [one.partition(" ON ")[0] for one in await missing()] == ["REVOKE CONNECT"]
    finally:
        await owner.close()


async def test_an_owner_who_is_no_superuser_migrates_and_the_doctor_has_the_rest(
    own_postgres: EmbeddedPostgres,
) -> None:
    superuser = await asyncpg.connect(own_postgres.url())
    try:
        for role, rights in (("plain", "CREATEROLE"), ("poor", "")):
            await superuser.execute(f"CREATE ROLE {role} LOGIN {rights}")
            await superuser.execute(f"CREATE DATABASE of_{role} OWNER {role}")
        with pytest.raises(MigrationError, match="owner with CREATEROLE"):
            await migrate(own_postgres.url("of_poor", "poor"))
        url = own_postgres.url("of_plain", "plain")
        assert await migrate(url)
        owner = await asyncpg.connect(url)
        lacking = "role neurocards_log: in is nothing, and should be pg_read_all_stats, pg_signal_backend"
        assert await schema_drift.differences(owner) == [lacking]
        missing = await schema_drift.open_rights(owner)
        await owner.close()
        assert [words.split()[0] for words in missing] == ["GRANT", "GRANT", "REVOKE", "REVOKE"]
        there = await asyncpg.connect(own_postgres.url("of_plain"))
        for statement in missing:
            await there.execute(statement)
        assert await schema_drift.open_rights(there) == await schema_drift.differences(there) == []
        await there.close()
    finally:
        await superuser.close()
    assert await migrate(url) == [], "the owner still takes its lock"
    bot, web = [
        await asyncpg.connect(own_postgres.url("of_plain", f"neurocards_{n}")) for n in ("bot", "web")
    ]
    try:
        assert await bot.fetchval("SELECT pg_try_advisory_lock(1)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await web.execute("SELECT pg_try_advisory_lock(1)")
        assert (await append(web, []))["outcome"] == "ok"
    finally:
        await bot.close()
        await web.close()
