"""Commands read as `neurocards_reader`, who can change nothing, and find whom they are about."""

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from projections.engine.errors import NoSuchAccountError
from services.accounts.personal_data import PersonalData
from services.cli.connections import auditor_pool
from services.cli.errors import ExitCode, exit_code_of
from services.cli.resolve_account import resolve_account
from services.platform.errors import SettingsError, StartError
from services.platform.settings import Settings, load_settings
from tests.support.servers import OPERATOR


async def test_a_reader_is_the_auditor_and_cannot_write(settings: Settings) -> None:
    async with auditor_pool(settings) as pool:
        assert await pool.fetchval("SELECT current_user") == "neurocards_reader"
        assert await pool.fetchval("SHOW statement_timeout") == "0"
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await pool.execute("CREATE TABLE mine ()")
        async with pool.acquire() as connection:
            await connection.execute("SET default_transaction_read_only = off")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("DELETE FROM events")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch("SELECT * FROM accounts")
    async with auditor_pool(settings, statement_timeout_s=2.5) as pool:
        assert await pool.fetchval("SHOW statement_timeout") == "2500ms"


async def test_the_auditors_own_database_and_login_come_first(
    settings: Settings, owner: "asyncpg.Connection[asyncpg.Record]", database_url: str
) -> None:
    login = f"reader_{await owner.fetchval('SELECT current_database()')}"[:60]
    await owner.execute(f"SET ROLE postgres; CREATE ROLE {login} LOGIN; GRANT SELECT ON events TO {login}")
    try:
        own = database_url.replace(f"{OPERATOR}@", f"{login}@", 1)
        assert own != database_url
        audit = settings.replace(audit_database_url=own)
        async with auditor_pool(audit) as pool:
            assert await pool.fetchval("SELECT current_user") == login
            assert await pool.fetchval("SHOW transaction_read_only") == "on"
    finally:
        await owner.execute(f"DROP OWNED BY {login}; DROP ROLE {login}")


async def test_a_database_that_is_not_there_is_said(settings: Settings) -> None:
    gone = settings.replace(audit_database_url="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StartError):
        async with auditor_pool(gone):
            pass


async def test_users_are_found_by_account_and_by_telegram_id(
    settings: Settings, ledger: Ledger, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    person = await PersonalData(pool).account_of(4242, "ru")
    await ledger.execute(c.OpenAccount(person.account, person.person), key="open")
    assert await resolve_account(settings, "4242") == person.account
    assert await resolve_account(settings, f" {person.account} ") == person.account
    for unknown in ("4243", "nobody", "", "x" * 200, "a\nb"):
        with pytest.raises(NoSuchAccountError) as caught:
            await resolve_account(settings, unknown)
        assert exit_code_of(caught.value) is ExitCode.NOT_FOUND
    audit_only = load_settings(audit_database_url=settings.database_url)
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        await resolve_account(audit_only, "4242")
