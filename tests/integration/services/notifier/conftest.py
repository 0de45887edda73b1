"""A notifier in the test's own process, step by step, on real servers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from services.adapters.telegram.limits import Rates, TelegramLimits
from services.adapters.telegram.send import create_sending_bot
from services.notifier.deliveries import Deliveries
from services.notifier.log_consumer import LogConsumer
from services.notifier.messages import Messages, notifier_texts
from services.notifier.payment_messages import PaymentMessages
from services.notifier.sender import Sender
from services.notifier.status_editor import Editor, StatusStore, order_contents, payment_contents
from services.platform.blobs import FolderBlobs
from services.platform.database import create_pool
from services.platform.file_links import FileLinks
from services.platform.redis import blocking_client, command_client
from services.platform.settings import Settings, load_settings
from services.streams.feed import BLOCK_S_MAX, Feed
from tests.support.order_fixture import OrderFixture, PlacedOrder
from tests.support.services import ServiceProcess
from tests.support.telegram import ScriptedTelegram

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

LEASE_S = 3
FAST = Rates(all_per_s=1000, all_burst=100, chat_per_s=1000, chat_burst=100)


async def row(pool: "Pool", job: str, kind: str = "video") -> dict[str, Any]:
    found = await pool.fetchrow("SELECT * FROM deliveries WHERE job = $1 AND kind = $2", job, kind)
    assert found is not None
    return dict(found)


async def make_due(pool: "Pool") -> None:
    """As if the backoff were over."""
    await pool.execute(
        "UPDATE deliveries SET due_at = clock_timestamp() WHERE state IN ('pending', 'sending')"
    )


@pytest.fixture
async def telegram() -> AsyncIterator[ScriptedTelegram]:
    async with ScriptedTelegram().serving() as telegram:
        yield telegram


@pytest.fixture
def settings(database_url: str, redis_url: str, telegram: ScriptedTelegram, tmp_path: Path) -> Settings:
    return load_settings(
        database_url=database_url, redis_url=redis_url, telegram_api_url=telegram.base, data_dir=tmp_path
    )


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator["Pool"]:
    async with await create_pool(settings, "test", max_size=20) as pool:
        yield pool


@pytest.fixture
async def studio(settings: Settings, pool: "Pool", database_url: str) -> AsyncIterator[OrderFixture]:
    async with Ledger(database_url, pool) as ledger:
        yield OrderFixture(ledger, pool, FolderBlobs(settings.data_dir / "blobs"))


class Notifier:
    """Both halves, driven by the test. Times are short, so that waiting is rare."""

    def __init__(self, settings: Settings, pool: "Pool", lease_s: float, rates: Rates) -> None:
        self.bot = create_sending_bot(settings)
        self.redis = command_client(settings)
        self.feed = Feed(LogReader(pool), blocking_client(settings, BLOCK_S_MAX), poll_s=0)
        limits = TelegramLimits(self.redis, rates)
        texts, reader = notifier_texts(), LogReader(pool)
        messages = Messages(texts, FileLinks(settings), settings.support_contact)
        of_payments = PaymentMessages(texts)
        blobs = FolderBlobs(settings.data_dir / "blobs")
        self.usual_s: float | None = None
        self.follower = LogConsumer(pool, self.feed, wait_s=0, usual=lambda _model, _seconds: self.usual_s)
        self.sender = Sender(
            self.bot, Deliveries(pool, lease_s), messages, of_payments, blobs, reader, limits
        )
        orders, payments = (StatusStore(pool, subject, lease_s) for subject in ("order", "payment"))
        self.editor = Editor(self.bot, orders, order_contents(pool, messages), limits)
        shown = payment_contents(pool, reader, of_payments)
        self.payment_editor = Editor(self.bot, payments, shown, limits)

    async def follow(self) -> None:
        """Until nothing new is in the log."""
        while await self.follower.run_once():
            pass

    async def send(self) -> None:
        """Until nothing is due."""
        while await self.sender.run_once():
            await self.sender.drain()

    async def edit(self) -> None:
        while await self.editor.run_once() + await self.payment_editor.run_once():
            pass

    async def run(self) -> None:
        """Follow, send and edit once through."""
        await self.follow()
        await asyncio.gather(self.send(), self.edit())

    async def close(self) -> None:
        await self.bot.session.close()
        await self.feed.close()
        await self.redis.aclose()


NewNotifier = Callable[..., Notifier]


@pytest.fixture
async def new_notifier(settings: Settings, pool: "Pool") -> AsyncIterator[NewNotifier]:
    """Makes notifiers; closes them at the end."""
    made: list[Notifier] = []

    def make(*, lease_s: float = 30, rates: Rates = FAST) -> Notifier:
        made.append(Notifier(settings, pool, lease_s, rates))
        return made[-1]

    yield make
    for notifier in made:
        await notifier.close()


@pytest.fixture
async def notifier(new_notifier: NewNotifier) -> Notifier:
    return new_notifier()


StartNotifier = Callable[[str], Awaitable[ServiceProcess]]


@pytest.fixture
async def start(
    telegram: ScriptedTelegram, settings: Settings, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[StartNotifier]:
    """Starts notifiers as processes."""
    env = {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TELEGRAM_API_URL": telegram.base,
        "NEUROCARDS_DATA_DIR": settings.data_dir,
        "LEASE_SECONDS": LEASE_S,
        "LOG_FORMAT": "json",
    }
    started: list[ServiceProcess] = []

    async def start(name: str) -> ServiceProcess:
        started.append(ServiceProcess("notifier", tmp_path / "services", env, name=name))
        return await asyncio.to_thread(started[-1].start, wait_s=60)

    yield start
    for process in started:
        await asyncio.to_thread(process.kill)
        print(f"--- {process.name} ---\n{process.log}")  # noqa: T201 - shown when the test fails


async def finished(studio: OrderFixture) -> PlacedOrder:
    seller = await studio.seller()
    order = await studio.order(seller)
    await studio.finish(order.jobs[0], b"the film")
    return order
