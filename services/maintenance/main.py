"""`neurocards serve maintenance`: scheduled tasks that need more than Postgres.

What one task raises stops no other (services/platform/scheduler.py), and none is needed for a refund at the
deadline, which is the monitor's. Several of this process are harmless: the ledger's keys, taken rows and
locks make one of what two of them do.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from aiogram import Bot
from redis.asyncio import Redis

from ledger.log.ledger import Ledger
from ledger.log.snapshots import keep_snapshots
from ledger.postgres import Pool
from services.accounts.personal_data import PersonalData
from services.adapters.kie.gateway import Kie
from services.adapters.telegram.client import create_bot
from services.adapters.telegram.stars import StarsError
from services.adapters.yookassa.errors import YooKassaError
from services.adapters.yookassa.gateway import YooKassa
from services.generation.catalogue import load_catalogue
from services.generation.circuit_breaker.store import CircuitBook
from services.generation.provider_limits import ProviderLimits
from services.maintenance import gauges
from services.maintenance.checkpoints import Checkpoints
from services.maintenance.cost_cap import CostCap
from services.maintenance.late_videos import LateVideos
from services.maintenance.note_delivery import NoteDelivery
from services.maintenance.orphaned_jobs import OrphanedJobs
from services.maintenance.owner_alerts import OwnerAlerts
from services.maintenance.referral_bonuses import ReferralBonuses
from services.maintenance.reminders import Notices, Reminders
from services.maintenance.restore_drill import RestoreDrill
from services.maintenance.retention import Retention
from services.maintenance.verification import Verification
from services.operations.runner import OperationRunner, job_steps
from services.payments.follow_up import FollowUp
from services.payments.metrics import alarm
from services.payments.orders import PaymentOrders
from services.payments.provider import PaymentProvider
from services.payments.reconciliation import Reconciliation
from services.payments.stars import StarsPayments
from services.payments.yookassa import YooKassaPayments
from services.platform.ask_time import ask_time
from services.platform.blob_stores import open_blobs
from services.platform.primary_mark import PrimaryMark
from services.platform.process import Runtime
from services.platform.process_ledger import start_ledger
from services.platform.redis import command_client
from services.platform.scheduler import Scheduler
from services.platform.settings import Settings
from services.recovery.checkpoint_files import key_path, note_places

OPERATIONS_S = 1.0
COST_S = 2.0
PAYMENTS_S = 2.0
MEASURE_S = 5.0
BONUSES_S = 10.0
ORPHANED_S = 15.0
SLOWLY_S = 15.0
NOTES_S = 15.0
LATE_S = 30.0
BALANCES_S = 60.0
REMINDERS_S = 60.0
RETENTION_S = 60.0
SNAPSHOTS_S = 60.0
COMPARE_S = 60.0
DRILL_S = 60.0


async def serve(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(Runtime(settings, "maintenance"))
        opened = start_ledger(settings, runtime, max_size=6, ask=ask_time, mark=PrimaryMark)
        ledger, pool = await stack.enter_async_context(opened)
        blobs = open_blobs(settings)
        kie = await stack.enter_async_context(Kie(settings, blobs))
        shop = await stack.enter_async_context(YooKassa(settings))
        bot = create_bot(settings)
        stack.push_async_callback(bot.session.close)
        redis = await stack.enter_async_context(command_client(settings)) if settings.redis_url else None
        limits = ProviderLimits(redis)
        tasks = Scheduler(runtime)

        tasks.start("invitations", ReferralBonuses(settings, ledger, pool).run_once, BONUSES_S)
        cap = CostCap(settings.cost_cap_per_day, load_catalogue(), ledger, pool)
        tasks.start("cost", cap.run_once, COST_S)
        tasks.start("retention", Retention(pool, blobs, settings).run_once, RETENTION_S)
        late = LateVideos(ledger, pool, kie, limits, blobs, often_s=LATE_S)
        tasks.start("late", late.run_once, LATE_S, at_once=True)
        if redis is not None:
            lease_s = settings.lease_seconds
            orphaned = OrphanedJobs(ledger, pool, redis, unmoved_s=2 * lease_s)
            tasks.start("unclaimed", orphaned.run_once, min(ORPHANED_S, lease_s))
        operations = OperationRunner(pool, job_steps(settings, ledger, pool), runtime.stop)
        tasks.start("operations", operations.run_once, OPERATIONS_S, at_once=True)
        tasks.start("snapshots", partial(keep_snapshots, pool), SNAPSHOTS_S)
        start_payments(tasks, settings, ledger, pool, shop, bot)
        balances = gauges.Balances(kie, redis)
        start_gauges(tasks, pool, redis, kie, balances)
        folders = {"data": settings.data_dir, "backups": settings.backup_dir}
        tasks.start("disks", partial(gauges.measure_disks, folders), SLOWLY_S)
        tasks.start("notices", Notices(settings, ledger, pool, balances).run_once, REMINDERS_S)
        if settings.reminders:
            reminders = Reminders(ledger, pool, settings.reminders_utc_offset)
            tasks.start("reminders", reminders.run_once, REMINDERS_S)
        start_proofs(tasks, settings, pool, runtime.stop)
        if settings.checkpoint_every_seconds and key_path(settings) is not None:
            checkpoints = Checkpoints(settings, ledger)
            tasks.start("checkpoints", checkpoints.run_once, checkpoints.idle_s)
        if note_places(settings):
            tasks.start("notes", NoteDelivery(settings, pool, bot).run_once, NOTES_S)
        if settings.alerts_chat_id is not None:
            alerts = OwnerAlerts(settings, ledger, pool, balances, bot, settings.alerts_chat_id)
            tasks.start("alerts", alerts.run_once, SLOWLY_S)
        runtime.ready()
        await runtime.wait()


def start_payments(
    tasks: Scheduler, settings: Settings, ledger: Ledger, pool: Pool, shop: YooKassa, bot: Bot
) -> None:
    orders = PaymentOrders(settings, ledger, pool)
    yookassa, stars = YooKassaPayments(orders, shop, bot.me), StarsPayments(orders, bot, PersonalData(pool))
    tasks.start("payments", FollowUp(yookassa, stars).run_once, PAYMENTS_S, at_once=True)
    tasks.start("payments_measured", partial(gauges.measure_payments, pool), MEASURE_S)
    every_s = settings.payments_compare_seconds
    providers: dict[str, PaymentProvider] = {"payments": yookassa, "stars": stars}
    for name, provider in providers.items() if every_s else ():
        book = Reconciliation(pool, orders, provider)
        compare = partial(compare_books, book, settings.payments_compare_days, every_s)
        tasks.start(f"{name}_compared", compare, min(COMPARE_S, every_s))


async def compare_books(book: Reconciliation, days: int, every_s: float) -> int:
    """Reconcile when the last time is `every_s` ago; 1 if so. The provider's trouble is an alarm."""
    try:
        report = await book.run(days, every_s=every_s)
    except (YooKassaError, StarsError) as error:
        alarm("not_compared", error=str(error))
        return 0
    return int(report is not None)


def start_proofs(tasks: Scheduler, settings: Settings, pool: Pool, stop: asyncio.Event) -> None:
    if settings.verify_every_seconds:
        verification = Verification(settings, pool, stop)
        tasks.start("verification", verification.run_once, verification.idle_s)
    if settings.drill_every_seconds:
        tasks.start("drill", RestoreDrill(settings, pool, stop).run_once, DRILL_S)


def start_gauges(
    tasks: Scheduler, pool: Pool, redis: Redis | None, kie: Kie, balances: gauges.Balances
) -> None:
    offered = [model.slug for model in load_catalogue().models if model.enabled]
    tasks.start("summary", partial(gauges.measure_open_jobs, pool), MEASURE_S)
    tasks.start("lags", gauges.ConsumerLag(pool, redis).run_once, MEASURE_S)
    if redis is not None:
        tasks.start("rests", gauges.Rests(kie, redis).run_once, MEASURE_S)
    tasks.start("models", partial(gauges.measure_models, CircuitBook(pool), offered), MEASURE_S)
    tasks.start("operations_measured", partial(gauges.measure_operations, pool), SLOWLY_S)
    tasks.start("archive", partial(gauges.measure_wal_archive, pool), SLOWLY_S)
    tasks.start("backups", partial(gauges.measure_backups, pool), SLOWLY_S)
    tasks.start("unknown", gauges.UnknownSubmissions(pool).run_once, SLOWLY_S)
    tasks.start("balances", balances.run_once, BALANCES_S)
