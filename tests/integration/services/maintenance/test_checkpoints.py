"""Checkpoints are signed on schedule; what may not be signed is an alarm and stops nothing else."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
from prometheus_client import REGISTRY

from ledger import commands as c
from ledger.checkpoints.checkpoint import Checkpoint, open_statement
from ledger.checkpoints.signed_note import new_key
from ledger.checkpoints.store import log_statements, stated_until, stored
from ledger.log.ledger import Ledger
from services.maintenance.checkpoints import Checkpoints
from services.platform.settings import load_settings
from services.recovery.checkpoint_files import kept_notes
from tests.integration.services.relay.conftest import truncate_log
from tests.support.traffic import Traffic

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

KEY = new_key("neurocards/test")


def signing(ledger: Ledger, folder: Path, every_s: float = 3600) -> Checkpoints:
    key_file = folder.parent / "key"
    key_file.write_text(KEY.reveal())
    settings = load_settings(
        checkpoint_dir=folder, checkpoint_every_seconds=every_s, checkpoint_key_file=key_file
    )
    return Checkpoints(settings, ledger)


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0


@pytest.fixture
async def traffic(ledger: Ledger) -> Traffic:
    traffic = Traffic(ledger)
    await traffic.play(10)
    return traffic


async def test_two_processes_make_one_checkpoint_and_both_keep_it(
    traffic: Traffic, ledger: Ledger, pool: "Pool", tmp_path: Path
) -> None:
    one, other = signing(ledger, tmp_path / "one"), signing(ledger, tmp_path / "other")
    for _ in range(2):
        await asyncio.gather(one.run_once(), other.run_once())
    (note,) = await stored(pool)
    assert isinstance(open_statement(note.note, KEY.public), Checkpoint)
    assert kept_notes(tmp_path / "one") == kept_notes(tmp_path / "other") == [note.note]
    until = await stated_until(pool)
    assert until is not None and until[0] == until[1]  # nothing came since
    signed = metric("neurocards_checkpoint_last_timestamp_seconds")
    assert 0 < signed < until[0] / 1e6
    await traffic.play(1)
    await one.run_once()
    [stated] = await log_statements(pool)
    assert metric("neurocards_checkpoint_last_timestamp_seconds") == stated.recorded_at_us / 1e6 < signed


async def test_the_next_one_is_made_when_it_is_due(
    traffic: Traffic, ledger: Ledger, pool: "Pool", tmp_path: Path
) -> None:
    frequent = signing(ledger, tmp_path, every_s=0.000001)
    await frequent.run_once()
    await traffic.play(5)
    await frequent.run_once()
    first, second = await stored(pool)
    assert second.place.position > first.place.position
    assert len(kept_notes(tmp_path)) == 2


async def test_a_log_that_may_not_be_signed_is_counted_and_nothing_is_raised(
    traffic: Traffic, ledger: Ledger, pool: "Pool", tmp_path: Path, database_url: str
) -> None:
    frequent = signing(ledger, tmp_path, every_s=0.000001)
    await frequent.run_once()
    await traffic.play(1)
    owner = await asyncpg.connect(database_url)
    await truncate_log(owner, 5)
    await owner.close()
    await ledger.execute(c.OpenAccount("late", "0" * 64), key="late")
    before = metric("neurocards_checkpoint_failures_total")
    assert await frequent.run_once() == 0
    assert metric("neurocards_checkpoint_failures_total") == before + 1
    assert len(await stored(pool)) == 1


async def test_a_folder_that_cannot_be_written_is_counted(
    traffic: Traffic, ledger: Ledger, pool: "Pool", tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    before = metric("neurocards_checkpoint_failures_total")
    await signing(ledger, tmp_path / "file").run_once()
    assert metric("neurocards_checkpoint_failures_total") == before + 1
    assert len(await stored(pool)) == 1  # the table has it; the folder gets it when it can be written


async def test_a_key_that_cannot_be_read_is_counted(
    traffic: Traffic, ledger: Ledger, pool: "Pool", tmp_path: Path
) -> None:
    broken = signing(ledger, tmp_path / "notes")
    (tmp_path / "key").write_text("no key")
    before = metric("neurocards_checkpoint_failures_total")
    assert await broken.run_once() == 0
    assert metric("neurocards_checkpoint_failures_total") == before + 1
    (tmp_path / "key").write_text(KEY.reveal())
    await broken.run_once()
    assert len(await stored(pool)) == 1
