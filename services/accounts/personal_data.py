"""Personal data: accounts and texts, erasable, referred to by events."""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.verify.findings import PROBLEMS_MAX, Problem
from services.platform.ids import new_code, new_id, new_random_id
from services.platform.settings import Settings

query = load_queries("services.accounts")


def forgotten_names(settings: Settings, telegram_id: int, code: str = "") -> list[bytes]:
    """Keyed hashes of an erased person or their promo code. The first, by the newest secret, is stored."""
    told = f"{telegram_id} {code}".strip().encode()
    keys = [secret.get_secret_value().encode() for secret in settings.forget_secrets]
    return [hmac.new(key, told, hashlib.sha256).digest() for key in keys]


class Account(msgspec.Struct, frozen=True):
    """`telegram_id` is also the private chat's id; `person` commits to it, as in AccountOpened."""

    account: str
    telegram_id: int
    locale: str
    person: str


class Brief(msgspec.Struct, frozen=True):
    """The seller's words: product and, maybe, wishes. For style `own`, `wishes` is the prompt."""

    product: str
    wishes: str = ""


def as_brief(body: bytes | None) -> Brief | None:
    return None if body is None else msgspec.json.decode(body, type=Brief)


class PersonalData:
    """Tables of `0001_people.sql`. Every method is one statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def account_of(self, telegram_id: int, locale: str) -> Account:
        """The user's account, made on first sight, then with `locale`."""
        row = await self._pool.fetchrow(query("account_of"), new_random_id(), telegram_id, locale, None)
        assert row is not None
        return Account(*row)

    async def sender(self, telegram_id: int, locale: str, update_id: int) -> Account | None:
        """As `account_of`, for an update's sender; None when both were erased meanwhile."""
        row = await self._pool.fetchrow(query("account_of"), new_random_id(), telegram_id, locale, update_id)
        return Account(*row) if row else None

    async def of_telegram(self, telegram_id: int) -> Account | None:
        row = await self._pool.fetchrow(
            "SELECT account, telegram_id, locale, person FROM accounts WHERE telegram_id = $1", telegram_id
        )
        return Account(*row) if row else None

    async def find(self, account: str) -> Account | None:
        row = await self._pool.fetchrow(
            "SELECT account, telegram_id, locale, person FROM accounts WHERE account = $1", account
        )
        return Account(*row) if row else None

    async def amiss(self) -> list[Problem]:
        """Accounts that were opened for another person than their row says."""
        rows = await self._pool.fetch(query("persons_amiss"), PROBLEMS_MAX)
        return [
            Problem(
                "person", position, f"account {account} was opened for another person than it belongs to now"
            )
            for position, account in rows
        ]

    async def remembered(self, names: Sequence[bytes]) -> int | None:
        """Debt in credits of an erased person by `forgotten_names`, else None."""
        debt: int | None = await self._pool.fetchval(query("remembered"), names)
        return debt

    async def wrong_codes(self, account: str) -> int:
        """Wrong promo codes tried by the account within the last hour."""
        return int(await self._pool.fetchval(query("wrong_codes"), account))

    async def note_wrong_code(self, account: str) -> None:
        await self._pool.execute(query("wrong_code_note"), account)

    async def invite_code(self, account: str) -> str:
        """What names them in an invitation's link; empty once they are erased."""
        return await self._pool.fetchval(query("invite_code"), account, new_code()) or ""

    async def inviter(self, code: str) -> str | None:
        """Whose code it is."""
        found: str | None = await self._pool.fetchval("SELECT account FROM accounts WHERE invite = $1", code)
        return found

    async def set_locale(self, account: str, locale: str) -> None:
        await self._pool.execute("UPDATE accounts SET locale = $2 WHERE account = $1", account, locale)

    async def wants_reminders(self, account: str) -> bool:
        """Whether the person wants to be reminded."""
        return bool(await self._pool.fetchval("SELECT reminders FROM accounts WHERE account = $1", account))

    async def set_reminders(self, account: str, *, on: bool) -> None:
        await self._pool.execute("UPDATE accounts SET reminders = $2 WHERE account = $1", account, on)

    async def keep_text(
        self, account: str, body: msgspec.Struct | dict[str, Any], ref: str | None = None
    ) -> str:
        """Store a text, return its reference. With `ref`, the first one stays.

        Like everything that stores personal data: raises ForeignKeyViolationError once they are erased.
        """
        ref = ref or new_id()
        await self._pool.execute(
            "INSERT INTO texts (ref, account, body) VALUES ($1, $2, $3) ON CONFLICT (ref) DO NOTHING",
            ref, account, msgspec.json.encode(body).decode(),
        )  # fmt: skip
        return ref

    async def keep_words(self, account: str, words: str) -> str:
        """Store what a company said; its random reference, empty when they are erased."""
        return await self._pool.fetchval(query("keep_words"), new_random_id(), account, words) or ""

    async def text(self, ref: str) -> bytes | None:
        return (await self.texts([ref]))[0]

    async def texts(self, refs: Sequence[str]) -> list[bytes | None]:
        found: dict[str, str] = {ref: body for ref, body in await self._pool.fetch(query("texts"), refs)}
        return [found[ref].encode() if ref in found else None for ref in refs]

    async def brief(self, ref: str) -> Brief | None:
        return as_brief(await self.text(ref))

    async def own_video(self, blob: str, account: str) -> None:
        """Record a video's owner, before its first byte.

        Once the bytes are stored, `use_blob` tells whether they may be kept: if not, delete them.
        """
        await self._pool.execute(query("own_video"), blob, account)

    async def own_photo(self, blob: str, account: str, size_bytes: int, bytes_per_day: int) -> bool:
        """As `own_video`, for what goes when unused; False when their photos would exceed the bytes."""
        sql = query("own_photo")
        return await self._pool.fetchval(sql, blob, account, size_bytes, bytes_per_day) is not None

    async def note_read(self, account: str, what: str, *, actor: str = "", reason: str = "") -> None:
        """Record, before it is shown, that a person's data is read. Login and time are Postgres' own."""
        await self._pool.execute(query("note_read"), actor, what, account, reason)

    async def reads_today(self, account: str, what: str) -> int:
        """How often a command read their data within a day."""
        return int(await self._pool.fetchval(query("reads_today"), account, what))

    async def export(self, account: str, rows_max: int) -> tuple[dict[str, list[msgspec.Raw]], list[str]]:
        """Rows as JSON by table, all that is held; and tables with more."""
        held: dict[str, list[msgspec.Raw]] = {}
        for table, body in await self._pool.fetch(query("personal_export"), account, rows_max + 1):
            held.setdefault(table, []).append(msgspec.Raw(body.encode()))
        more = [table for table, rows in held.items() if len(rows) > rows_max]
        return {table: rows[:rows_max] for table, rows in held.items()}, more

    async def unfinished_jobs(self, account: str) -> int:
        return len(await self._pool.fetch(query("open_jobs_of"), account))

    async def use_blob(self, blob: str) -> bool:
        """Whether the blob is owned; keeps it for DRAFT_KEEP_SECONDS."""
        return await self._pool.fetchval(query("use_blob"), blob) is not None
