"""What handlers work with."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from ledger.account_state import AccountState
from ledger.log import Ledger
from services.adapters.kie.catalogue import Catalogue, Model
from services.bot.history import History
from services.bot.moderation import Moderation
from services.shared.blobs import BlobStore
from services.shared.i18n import Catalogues
from services.shared.people import People
from services.shared.settings import Settings

if TYPE_CHECKING:
    import asyncpg

    Pool = asyncpg.Pool[asyncpg.Record]

TERMS_VERSION = "2026-11"
"""Changed terms get a new version, and everyone is asked once more."""

_REMEMBERED_MAX = 100_000


class Person(msgspec.Struct, frozen=True):
    """Whoever sent the update: the account, the language and the private chat."""

    account: str
    locale: str
    chat_id: int
    accepted: bool
    """Whether this version of the terms is agreed to."""


@dataclass(frozen=True)
class Shop:
    """The services a handler may need; one per process."""

    settings: Settings
    people: People
    ledger: Ledger
    blobs: BlobStore
    history: History
    catalogue: Catalogue
    texts: Catalogues
    moderation: Moderation

    @property
    def model(self) -> Model:
        """The model new orders are made with."""
        return self.catalogue.default

    def deadline_s(self, model: Model) -> int:
        """How long a job may take: JOB_DEADLINE_SECONDS, or less where the model says so."""
        return max(1, int(min(self.settings.job_deadline_seconds, model.deadline_s)))

    async def account(self, person: Person) -> AccountState:
        """The account from the log itself: right even when every projection is behind."""
        return await self.ledger.read.account(person.account)


class Consents:
    """Who has agreed to the terms. Asked of the log once per account: agreeing cannot be undone."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._given: set[str] = set()

    async def given(self, account: str) -> bool:
        """Whether the account has agreed to TERMS_VERSION."""
        if account in self._given:
            return True
        agreed = (await self._ledger.read.account(account)).terms == TERMS_VERSION
        if agreed and len(self._given) < _REMEMBERED_MAX:
            self._given.add(account)
        return agreed
