"""Erasure of a person: personal data and files; events and balances stay.

    1. the account is locked (AccountForgotten)
    2. its open jobs fail and are refunded, in the ledger
    3. what is still owed leaves the account (CreditsGranted)
    4. the person's row goes, with its commitment's salt and all that refers to it, in one transaction
    5. files go; maintenance deletes them too, should this be killed

Each step can be repeated, and a crash between two is mended by asking again: by the Telegram id as long as
that is known, by the account's id afterwards. Concurrent writes about them fail or are undone:
docs/decisions/erasure.md. What is kept are keyed hashes of the Telegram id, alone and with
each code used, and what was owed: coming back earns no second welcome, no code twice, and settles no debt
(docs/decisions/coming-back.md).
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

import asyncpg
import msgspec

from events.account import CreditsCharged, CreditsGranted
from events.codec import decode
from events.job import Failure, JobQueued, JobRequeued, JobSucceeded, VideoGifted
from events.stream_names import account_stream, job_stream
from ledger.accounts.decider import AMOUNT_MAX
from ledger.commands import FailJob, ForgetAccount, GrantCredits
from ledger.errors import AccountNotOpenError, JobFinishedError, KeyReusedError
from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.accounts.personal_data import forgotten_names
from services.platform.blobs import BlobStore
from services.platform.settings import Settings

query = load_queries("services.accounts")

ERASED: Final = Failure("user_erased", "forget")


class Erased(msgspec.Struct, frozen=True):
    """What was done, in counts. `telegram_id_known` is False when an earlier attempt had come that far."""

    account: str
    telegram_id_known: bool
    jobs_failed: int
    texts: int
    drafts: int
    payments: int
    messages: int
    files: int


class Forgetting:
    """Erases people."""

    def __init__(self, settings: Settings, pool: Pool, ledger: Ledger, blobs: BlobStore) -> None:
        _ = settings.forget_secrets  # raises SettingsError before anything is done
        self._settings = settings
        self._pool = pool
        self._ledger = ledger
        self._blobs = blobs

    async def forget(self, account: str, *, actor: str, reason: str) -> Erased:
        """Erase the account's person, also unopened. Raises AccountNotOpenError, asyncpg's errors."""
        state = await self._ledger.read.account(account)
        telegram_id = await self._pool.fetchval(query("telegram_id"), account)
        if not state.opened and telegram_id is None:
            raise AccountNotOpenError("there is no account of this name, and nobody it belongs to")
        if state.opened and not state.forgotten:
            command = ForgetAccount(account, reason, actor)
            with suppress(KeyReusedError):  # somebody else erases them at the same time
                await self._ledger.execute(command, key=f"forget:{account}")
        failed = await self._fail_open_jobs(account, actor)
        debt = None if telegram_id is None else await self._carry_debt(account)
        named: set[str] = set()
        async for job in self._jobs(account):  # a restored backup may hold files that no row names
            named |= set(await self._files_of(job))
        found, files = await self._unlink(account, telegram_id, debt, named)
        for file in files | named:
            await self._blobs.delete(file)
        counts = (found["texts"], found["drafts"], found["payments"], found["messages"])
        return Erased(account, telegram_id is not None, failed, *counts, len(files | named))

    async def _carry_debt(self, account: str) -> int | None:
        """Carry the debt over to the person's next account.

        Asked of the log, which knows what an interrupted attempt has carried. None: it was never opened.
        """
        state = await self._ledger.read.account(account)
        if not state.opened:
            return None
        if state.debt:
            command = GrantCredits(account, min(state.debt, AMOUNT_MAX), "carried", "erased")
            with suppress(KeyReusedError):  # somebody else has carried it at the same time
                await self._ledger.execute(command, key=f"carried:{account}:{state.lots_made}")
        events = map(decode, await self._ledger.read.stream(account_stream(account)))
        return sum(e.amount for e in events if isinstance(e, CreditsGranted) and e.kind == "carried")

    async def _unlink(
        self, account: str, telegram_id: int | None, debt: int | None, named: set[str]
    ) -> tuple[asyncpg.Record, set[str]]:
        """Delete the person: their row, and whose the files are. `named`: files in the log.

        If it is theirs no more, another call has erased them, and they may be back. A payment under way can
        still be paid, and is credited; where its receipt goes is forgotten.
        """
        used = (await self._ledger.read.account(account)).promos
        async with self._pool.acquire() as connection, connection.transaction():
            by_us = telegram_id is not None and telegram_id == await connection.fetchval(
                query("telegram_id"), account
            )
            if by_us and telegram_id is not None:
                (person, *_), *codes = (
                    forgotten_names(self._settings, telegram_id, code) for code in ("", *used)
                )
                await connection.execute(query("remember_forgotten"), person, debt, [c[0] for c in codes])
                await connection.execute(query("forget_updates"), telegram_id, account)
                await connection.execute(query("forget_claims"), telegram_id)
            # Nobody refers to them any more from here on; who has done so until now is found.
            await connection.execute("SELECT FROM accounts WHERE account = $1 FOR UPDATE", account)
            # Drafts before blobs and texts, in the order in which the bot and the sweep lock them.
            await connection.execute(
                "SELECT FROM drafts WHERE account = $1 ORDER BY draft FOR UPDATE", account
            )
            found = await connection.fetchrow(query("personal_data_of"), account)
            files = {row["blob"] for row in await connection.fetch(query("disown_blobs"), account)}
            await connection.execute(query("blobs_erased"), sorted(named))
            await connection.execute(query("forget_account"), account)
            assert found is not None
            return found, files

    async def _fail_open_jobs(self, account: str, actor: str) -> int:
        """No new job can come: the account is locked."""
        failed = 0
        for row in await self._pool.fetch(query("open_jobs_of"), account):
            command = FailJob(row["job"], account, "operator", ERASED, actor=actor)
            try:
                await self._ledger.execute(command, key=f"fail:{row['job']}:forget")
                failed += 1
            except (JobFinishedError, KeyReusedError):
                pass  # a worker, the monitor or another operator was faster
        return failed

    async def _jobs(self, account: str) -> AsyncIterator[str]:
        for recorded in await self._ledger.read.stream(account_stream(account)):
            if recorded.type == CreditsCharged.__name__:
                event = decode(recorded)
                assert isinstance(event, CreditsCharged)
                yield event.job

    async def _files_of(self, job: str) -> list[str]:
        files = []
        for recorded in await self._ledger.read.stream(job_stream(job)):
            match decode(recorded):
                case JobQueued(photo=photo):
                    files.append(photo)
                case JobSucceeded(video=video) | VideoGifted(video=video):
                    files.append(video.blob)
                case JobRequeued(as_job=again, price=0):  # no charge on the account leads there
                    files += await self._files_of(again)
                case _:
                    pass
        return files
