"""What is said of a disk that is short of room, or cannot be looked at: by gauge, doctor, alert."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from services.cli.doctor.machine import check_folders
from services.maintenance.gauges import measure_disks
from services.platform import disks
from services.platform.settings import load_settings
from tests.support.watching import alerts


def measured(folder: str) -> float | None:
    return REGISTRY.get_sample_value("neurocards_disk_free_bytes", {"folder": folder})


async def test_a_folder_that_cannot_be_looked_at_has_no_value_and_stops_no_other(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    await measure_disks({"away": away, "none": None, "data": tmp_path})
    assert measured("away") and measured("data") and measured("none") is None
    away.rmdir()
    await measure_disks({"away": away, "data": tmp_path})
    assert measured("away") is None, "no longer what it was"
    (tmp_path / "file").touch()
    await measure_disks({"away": tmp_path / "file" / "in", "more": tmp_path})
    assert measured("away") is None and measured("more")


async def test_a_folder_of_another_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_at(folder: Path) -> SimpleNamespace:
        if folder == Path("/theirs"):
            raise PermissionError(13, "Permission denied")
        return SimpleNamespace(free=7)

    monkeypatch.setattr(shutil, "disk_usage", looked_at)
    await measure_disks({"theirs": Path("/theirs"), "ours": Path("/ours")})
    assert (measured("theirs"), measured("ours")) == (None, 7)


def test_the_doctor_names_every_short_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(data_dir=tmp_path / "data", backup_dir=tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=5_000_000))
    checks = check_folders(settings)
    assert [(check.state, check.name) for check in checks] == [
        ("warn", "NEUROCARDS_DATA_DIR"),
        ("warn", "BACKUP_DIR"),
    ]
    assert all("only 5 MB free" in check.found for check in checks)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=disks.LITTLE_BYTES))
    assert [(check.state, check.name) for check in check_folders(settings)] == [("ok", "NEUROCARDS_DATA_DIR")]


def test_the_alert_has_the_same_limit() -> None:
    (alert,) = [alert for alert in alerts() if alert["alert"] == "DiskAlmostFull"]
    assert float(alert["expr"].rpartition("<")[2]) == disks.LITTLE_BYTES
