"""The services and the person that handlers work with."""

import asyncio
from dataclasses import dataclass, field

import msgspec

from ledger.accounts.state import AccountState
from ledger.errors import WhyPaused
from ledger.log.ledger import Ledger
from services.accounts.drafts import Drafts
from services.accounts.erase import Forgetting
from services.accounts.personal_data import PersonalData
from services.bot.checkout import Checkout
from services.bot.moderation import Moderation
from services.bot.order_history import History
from services.generation.catalogue import Catalogue, Model
from services.generation.circuit_breaker.store import Circuits
from services.generation.prompts.styles import style_of
from services.generation.wait_estimate import Estimate, Outlook
from services.platform.blobs import BlobStore
from services.platform.i18n import Catalogues
from services.platform.settings import Settings

TERMS_VERSION = "2026-11"
"""Changed terms get a new version, and everyone is asked once more."""

PHOTOS_AT_ONCE = 4
AGAIN_PER_HOUR = 30
"""Videos or their files sent again, free, per person."""


class Person(msgspec.Struct, frozen=True):
    """The update's sender: account, language and private chat."""

    account: str
    locale: str
    chat_id: int
    accepted: bool
    """Whether this version of the terms is agreed to, by the log as it is now: a restore may undo it."""
    commitment: str
    """To who it is, for AccountOpened."""


@dataclass(frozen=True)
class BotContext:
    settings: Settings
    people: PersonalData
    drafts: Drafts
    ledger: Ledger
    blobs: BlobStore
    history: History
    catalogue: Catalogue
    texts: Catalogues
    moderation: Moderation
    checkout: Checkout
    forgetting: Forgetting
    circuits: Circuits = field(default_factory=Circuits)
    outlook: Outlook = field(default_factory=Outlook)
    examples: dict[str, str] = field(default_factory=dict)
    """Styles' examples as Telegram calls them, once it has them."""
    photos: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PHOTOS_AT_ONCE))
    """Held while a photo of up to 20 MB is in memory."""

    def maker(self, style: str, sides: str = "", seconds: int = 0) -> Model:
        """The model that makes such a video: the style's first that is well, else its first."""
        named = style_of(style).makers(self.catalogue, sides, seconds)
        return self.circuits.first_well(named or [self.catalogue.default])

    @property
    def model(self) -> Model:
        """The model of an order in which nothing is chosen."""
        return self.maker("")

    async def sales_closed(self) -> WhyPaused | None:
        """Why nothing is sold now, if so; docs/decisions/owners-brakes.md."""
        return (await self.ledger.read.sales()).closed(self.ledger.now_us())

    def takes_orders(self, model: Model | None, sides: str = "", seconds: int = 0) -> bool:
        """Whether a model takes orders now, itself or by an alternative."""
        candidates = self.catalogue.candidates(model, sides, seconds) if model is not None else ()
        return self.circuits.any_well(candidates)

    def rest_s(self, model: Model) -> float | None:
        """Seconds until it, or its alternative, is tried again; None: nobody knows."""
        return self.circuits.rest_s(self.catalogue.candidates(model))

    @property
    def invites(self) -> bool:
        """Whether an invitation brings anything."""
        return bool(self.settings.referral_credits or self.settings.referred_credits)

    async def estimate(self, model: Model, person: Person, jobs: int) -> Estimate:
        return await self.outlook.estimate(model, person.account, jobs, self.deadline_s(model))

    async def sends_again(self, person: Person) -> bool:
        """Count one video sent again; False when AGAIN_PER_HOUR are."""
        return await self.history.sent_again(person.chat_id) <= AGAIN_PER_HOUR

    def deadline_s(self, model: Model) -> int:
        """Seconds a job may take: JOB_DEADLINE_SECONDS, or less where the model says so."""
        return max(1, int(min(self.settings.job_deadline_seconds, model.deadline_s)))

    async def account(self, person: Person) -> AccountState:
        """The account from the log itself: right even when every projection is behind."""
        return await self.ledger.read.account(person.account)
