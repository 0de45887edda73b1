"""Resolves a command's user: an account id, or a Telegram id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from services.cli.connections import auditor_pool, read, typed_command

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ledger.postgres import Pool
    from services.platform.settings import Settings

T = TypeVar("T")

ID_CHARS_MAX = 190
_TELEGRAM_DIGITS_MAX = 18


def read_account(command: str, user: str | None, work: Callable[[Pool, Any], Awaitable[T]]) -> T:
    """Run a reading command about a user's account; None stays None. Raises NoSuchAccountError."""

    async def on_account(pool: Pool, settings: Settings) -> T:
        return await work(pool, user if user is None else await resolve_account(settings, user))

    return read(command, on_account)


async def resolve_account(settings: Settings, user: str) -> str:
    """Account id of `user`: an account id, or a Telegram id (digits). Raises NoSuchAccountError.

    Telegram ids are personal data, which the role `neurocards_reader` may not read: one is looked up with the
    application's rights, at DATABASE_URL, which is noted (`ledger reads`).
    """
    from projections.engine.errors import NoSuchAccountError

    user = user.strip()
    if not 0 < len(user) <= ID_CHARS_MAX or not user.isprintable():
        raise NoSuchAccountError(f"an account's id has 1 to {ID_CHARS_MAX} printable characters")
    if user.isascii() and user.isdigit() and len(user) <= _TELEGRAM_DIGITS_MAX:
        account = await _of_telegram(settings, int(user))
        if account is not None:
            return account
    if await _in_log(settings, user):
        return user
    raise NoSuchAccountError(f"there is no account {user!r}; give an account's id or a Telegram id (digits)")


async def _of_telegram(settings: Settings, telegram_id: int) -> str | None:
    from ledger.sql import load_queries
    from services.platform.database import connect
    from services.platform.errors import SettingsError

    if settings.database_url is None:
        raise SettingsError(["DATABASE_URL: is needed to find a Telegram user; or give the account's id"])
    connection = await connect(settings, "who", writes=False)
    try:
        sql = load_queries("services.cli.commands")("account_of_telegram")
        found = await connection.fetchval(sql, telegram_id, typed_command(), settings.read_reason)
    finally:
        await connection.close()
    return None if found is None else str(found)


async def _in_log(settings: Settings, account: str) -> bool:
    from events.stream_names import account_stream

    async with auditor_pool(settings, max_size=1, statement_timeout_s=10) as pool:
        sql = "SELECT EXISTS (SELECT FROM events WHERE stream = $1)"
        return bool(await pool.fetchval(sql, account_stream(account)))
