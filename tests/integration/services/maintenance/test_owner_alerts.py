"""The owner's chat in the sandbox: planted causes are told once, over once, through restarts and refusals."""

import shutil
import time
from collections import namedtuple
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.system.commands import CheckDayCap, PauseSales, ResumeSales
from ledger.system.decider import day_of
from services.adapters.telegram.client import create_bot
from services.cli.doctor.servers import check_alerts
from services.maintenance import metrics
from services.maintenance.gauges import Balances
from services.maintenance.owner_alerts import TEXTS, Cause, OwnerAlerts
from services.maintenance.verification_memory import VerificationMemory, Verified
from services.platform.settings import Settings, load_settings
from services.recovery import checkpoint_files
from services.recovery.backup_runs import SAID, BackupRun, record_run
from services.sandbox import chat, telegram
from services.sandbox.app import Clock
from tests.support.order_fixture import OrderFixture
from tests.support.outside import Outside, outside

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

OWNER = 4243
OPERATOR = "login:neurocards_operator"
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with outside({"/telegram": telegram.routes, "/chat": chat.routes}, clock=Clock()) as running:
        await running.post(f"/chat/{OWNER}/send", {"text": "/start"})
        yield running


@pytest.fixture
def settings(sandbox: Outside, database_url: str, tmp_path: Path) -> Settings:
    return load_settings(
        sandbox_url=sandbox.url, database_url=database_url, alerts_chat_id=OWNER, alerts_locale="en",
        data_dir=tmp_path,
    )  # fmt: skip


@pytest.fixture
async def alerts(
    settings: Settings, ledger: Ledger, pool: "Pool", monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OwnerAlerts]:
    """With a disk, a balance and consumers that are well; each process that ran before has left its own."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 0, 10**12))
    metrics.UNAPPLIED_AT.clear()
    bot = create_bot(settings)
    yield OwnerAlerts(settings, ledger, pool, Balances(cast(Any, None)), bot, OWNER)
    await bot.session.close()


async def told(sandbox: Outside) -> list[str]:
    shown = (await sandbox.get(f"/chat/{OWNER}/messages"))["messages"]
    return [message["text"] for message in shown if message["from"]["is_bot"]]


async def later(pool: "Pool") -> None:
    """Ten minutes after the last message, or the end of a back-off."""
    await pool.execute("UPDATE owner_alerts SET due_at = clock_timestamp()")


async def plant(
    cause: Cause, alerts: OwnerAlerts, ledger: Ledger, settings: Settings, studio: OrderFixture,
    patch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    day = day_of(ledger.now_us())
    match cause:
        case "deadline":
            order = await studio.order(await studio.seller(), deadline_s=1)
            late = "UPDATE open_jobs SET deadline_at_us = deadline_at_us - 180000000 WHERE job = $1"
            await studio.pool.execute(late, order.jobs[0])
        case "log":
            memory = VerificationMemory(checkpoint_files.folder(settings))
            memory.keep(Verified(time.time(), time.time(), problems={"books": 1, "edited": 2}))
        case "money":
            alerts._balances._read_last = {"k1": Decimal(3), "k2": Decimal(1)}
        case "lag":
            metrics.UNAPPLIED_AT.labels("balances").set(time.time() - 90)
        case "prompts":
            order = await studio.order(await studio.seller(), 5)
            for job in order.jobs:
                await studio.start(job)
                written = c.RecordPrompt(job, 1, f"p-{job}", "fallback", "ugc-1", "quota")
                await ledger.execute(written, key=f"prompt:{job}")
        case "disk":
            patch.setattr(shutil, "disk_usage", lambda _: Usage(10**12, 10**12, 1_500_000_000))
        case "paused":
            await ledger.execute(PauseSales(OPERATOR, "dear"), key="pause")
        case "backup":
            await record_run(studio.pool, BackupRun(kind="drill", backup="x", problems=["a file is gone"]))
        case "cost" | "welcome":
            await ledger.execute(CheckDayCap(cause, day, 5, 6), key=cause)


DETAILS: dict[Cause, str] = {
    "log": "books, edited", "money": "3", "prompts": "100%", "disk": "1.5 GB", "lag": "balances",
    "backup": SAID["damaged"],
}  # fmt: skip


@pytest.mark.parametrize("cause", TEXTS)
async def test_each_cause_is_told(
    cause: Cause, alerts: OwnerAlerts, sandbox: Outside, ledger: Ledger, settings: Settings,
    studio: OrderFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    assert await alerts.run_once() == 0
    await plant(cause, alerts, ledger, settings, studio, monkeypatch)
    assert await alerts.run_once() == 1
    assert await told(sandbox) == ["🚨 " + TEXTS[cause].en.format(DETAILS.get(cause, ""))]


async def test_a_disk_that_cannot_be_looked_at_keeps_no_other_cause_from_being_told(
    alerts: OwnerAlerts, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shutil, "disk_usage", gone)
    await ledger.execute(PauseSales(OPERATOR, "dear"), key="pause")
    assert await alerts.run_once() == 1
    assert "disk" not in await alerts.look()


async def test_a_cause_is_told_once_and_its_end_once_by_whatever_process(
    alerts: OwnerAlerts, settings: Settings, sandbox: Outside, ledger: Ledger, pool: "Pool"
) -> None:
    balances = alerts._balances
    other = OwnerAlerts(settings, ledger, pool, balances, alerts._bot, OWNER)  # or the same, started again
    await ledger.execute(PauseSales(OPERATOR, "dear"), key="pause")
    sandbox.fault("telegram", "sendMessage", "500", times=1)
    assert await alerts.run_once() == 0 and await other.run_once() == 0, "not before its back-off is over"
    (owed,) = await check_alerts(settings)
    assert (owed.state.value, "Telegram does not take them" in owed.found) == ("warn", True)
    await later(pool)
    assert [await other.run_once(), await alerts.run_once()] == [1, 0]
    await later(pool)
    assert await alerts.run_once() == 0, "nothing new"
    await ledger.execute(ResumeSales(OPERATOR, "cheap"), key="resume")
    assert await alerts.run_once() == 1 and len(await told(sandbox)) == 2
    await ledger.execute(PauseSales(OPERATOR, "dear"), key="again")
    assert await alerts.run_once() == 0, "one message about a cause in ten minutes"
    await ledger.execute(ResumeSales(OPERATOR, "cheap"), key="resumed")
    await later(pool)
    assert await alerts.run_once() == 0, "it came and went"
    assert "Sales are paused" in (await told(sandbox))[-1] and "✅" in (await told(sandbox))[-1]
    (well,) = await check_alerts(settings)
    assert well.state.value == "ok"


async def test_what_cannot_be_measured_now_is_not_over(alerts: OwnerAlerts, sandbox: Outside) -> None:
    alerts._balances._read_last = {"k1": Decimal(3)}
    assert await alerts.run_once() == 1
    alerts._balances._read_last = {}
    assert "money" not in await alerts.look() and "lag" not in await alerts.look()
    assert await alerts.run_once() == 0 and len(await told(sandbox)) == 1
