"""`neurocards serve monitor`: nobody waits past the deadline, whatever else is dead. Needs Postgres alone."""

import contextlib
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from ledger.postgres import Pool
from services.accounts.personal_data import PersonalData
from services.adapters.kie.gateway import Kie
from services.adapters.telegram.client import create_bot
from services.adapters.yookassa.gateway import YooKassa
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.provider_limits import ProviderLimits
from services.maintenance.abandoned_drafts import AbandonedDrafts
from services.maintenance.checkpoints import Checkpoints
from services.maintenance.gauges.consumer_lag import Lags
from services.maintenance.gauges.model_states import ModelStates
from services.maintenance.gauges.open_jobs import OpenJobsSummary
from services.maintenance.gauges.provider_accounts import Balances, Rests
from services.maintenance.gauges.wal_archive import Archive
from services.maintenance.late_videos import LateResults
from services.maintenance.orphaned_jobs import UnclaimedJobs
from services.maintenance.payments import DailyComparison, PaymentsMeasured
from services.maintenance.referral_bonuses import InvitationSweep
from services.maintenance.task_status import TaskStatus
from services.maintenance.unknown_submissions import UnknownSubmissions
from services.maintenance.verification import Verification
from services.monitor.deadlines import DeadlineSweep
from services.monitor.expiry import ExpirySweep
from services.monitor.log_time import LogTime
from services.payments.follow_up import FollowUp
from services.payments.orders import PaymentOrders
from services.payments.provider import PaymentProvider
from services.payments.reconciliation import Reconciliation
from services.payments.stars import StarsPayments
from services.payments.yookassa import YooKassaPayments
from services.platform.blobs import open_blobs
from services.platform.database import create_pool
from services.platform.periodic import repeat
from services.platform.process import Runtime
from services.platform.redis import command_client
from services.platform.settings import Settings
from services.recovery.checkpoint_files import signing_key

SWEEP_S = 1.0
MEASURE_S = 5.0
EXPIRY_S = 10.0
INVITATIONS_S = 10.0
LATE_S = 30.0
ABANDONED_S = 60.0
UNKNOWN_S = 15.0
ARCHIVE_S = 15.0
UNCLAIMED_S = 15.0
BALANCE_S = 60.0
PAYMENTS_S = 2.0
COMPARE_S = 60.0


async def serve(settings: Settings) -> None:
    """Sweep until told to stop."""
    async with contextlib.AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await create_pool(settings, "monitor", max_size=6))
        ledger = await stack.enter_async_context(Ledger(settings.require_database_url(), pool))
        runtime = await stack.enter_async_context(Runtime(settings, "monitor"))
        runtime.health.check("postgres", lambda: pool.fetchval("SELECT 1"))
        repeated = Repeated(runtime)
        sweep = DeadlineSweep(ledger, pool, refund_life_s=settings.refund_life_seconds)

        async def sweep_once() -> int:
            return (await sweep.run_once()).failed

        repeated.start("deadlines", sweep_once, SWEEP_S, at_once=True)
        repeated.start("expiry", ExpirySweep(ledger, pool).run_once, EXPIRY_S, at_once=True)
        repeated.start("invitations", InvitationSweep(settings, ledger, pool).run_once, INVITATIONS_S)
        blobs = open_blobs(settings)
        abandoned = AbandonedDrafts(pool, blobs, keep_s=settings.draft_keep_seconds)
        repeated.start("abandoned", abandoned.run_once, ABANDONED_S)
        kie = await stack.enter_async_context(Kie(settings, blobs))
        redis = await stack.enter_async_context(command_client(settings)) if settings.redis_url else None
        limits = ProviderLimits(redis)
        late = LateResults(ledger, pool, kie, limits, blobs, often_s=LATE_S)
        repeated.start("late", late.run_once, LATE_S, at_once=True)
        if redis is not None:
            lease_s = settings.lease_seconds
            unclaimed = UnclaimedJobs(ledger, pool, redis, unmoved_s=2 * lease_s)
            repeated.start("unclaimed", unclaimed.run_once, min(UNCLAIMED_S, lease_s))
        measure(repeated, pool, redis, kie, limits)
        shop = await stack.enter_async_context(YooKassa(settings))
        bot = create_bot(settings)
        stack.push_async_callback(bot.session.close)
        orders = PaymentOrders(settings, ledger, pool)
        yookassa, stars = YooKassaPayments(orders, shop), StarsPayments(orders, bot, PersonalData(pool))
        look_after_money(repeated, settings, yookassa, stars, pool)
        if settings.verify_every_seconds:
            verification = Verification(settings, pool, runtime.stop)
            repeated.start("verification", verification.run_once, verification.idle_s)
        key = signing_key(settings)
        if key is not None and settings.checkpoint_every_seconds:
            signing = Checkpoints(settings, pool, key)
            repeated.start("checkpoints", signing.run_once, signing.idle_s)
        runtime.ready()
        await runtime.wait()


class Repeated:
    """Starts what is done again and again; /health/status tells when each was done last."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._rounds = TaskStatus()
        runtime.health.tell({"rounds": self._rounds.status})

    def start(
        self, name: str, run_once: Callable[[], Awaitable[int]], idle_s: float, *, at_once: bool = False
    ) -> None:
        """`idle_s` between two rounds; none after one that did something when that is to be `at_once`."""
        remembered = self._rounds.of(name, run_once, at_once=at_once)
        self._runtime.spawn(repeat(remembered, self._runtime.stop, name, idle_s=idle_s), name)


def look_after_money(
    repeated: Repeated, settings: Settings, yookassa: YooKassaPayments, stars: StarsPayments, pool: Pool
) -> None:
    """Start what payments need: looking after the open ones, comparing the books, measuring."""
    repeated.start("payments", FollowUp(yookassa, stars).run_once, PAYMENTS_S, at_once=True)
    repeated.start("payments_measured", PaymentsMeasured(pool).run_once, MEASURE_S)
    every_s = settings.payments_compare_seconds
    providers: dict[str, PaymentProvider] = {"payments": yookassa, "stars": stars}
    for name, provider in providers.items() if every_s else ():
        book = Reconciliation(pool, yookassa.orders, provider)
        daily = DailyComparison(book, every_s=every_s, days=settings.payments_compare_days)
        repeated.start(f"{name}_compared", daily.run_once, min(COMPARE_S, every_s))


def measure(repeated: Repeated, pool: Pool, redis: Redis | None, kie: Kie, limits: ProviderLimits) -> None:
    """Start what only looks: each fails by itself and changes nothing."""
    repeated.start("summary", OpenJobsSummary(pool).measure, MEASURE_S)
    repeated.start("lags", Lags(pool, redis).run_once, MEASURE_S)
    repeated.start("log_time", LogTime(pool).run_once, MEASURE_S)
    repeated.start("rests", Rests(kie, limits).run_once, MEASURE_S)
    book, catalogue = CircuitBook(pool), load_catalogue()
    models = ModelStates(book, (model.slug for model in catalogue.models if model.enabled))
    repeated.start("models", models.run_once, MEASURE_S)
    repeated.start("archive", Archive(pool).run_once, ARCHIVE_S)
    repeated.start("unknown", UnknownSubmissions(pool).run_once, UNKNOWN_S)
    repeated.start("balances", Balances(kie, redis).run_once, BALANCE_S)
