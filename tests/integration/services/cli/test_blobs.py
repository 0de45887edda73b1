"""`neurocards blobs migrate`: from the folder into a bucket and back, and on from where it was killed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.cli.errors import ExitCode
from services.cli.main import app
from services.platform.blob_stores import open_blobs
from services.platform.settings import load_settings
from tests.support.cli_runner import CliRunner
from tests.support.s3_servers import KEY, S3Server, missing, running
from tests.support.services import clean_environment
from tests.support.waiting import eventually


@pytest.fixture
def server(tmp_path: Path) -> Iterator[S3Server]:
    with running(tmp_path) as server:
        yield server


def test_without_a_former_store_there_is_nothing_to_do() -> None:
    result = CliRunner().invoke(app, ["blobs", "migrate"], env={"BLOBS_FORMER_URL": ""})
    assert result.exit_code == ExitCode.USAGE and "BLOBS_FORMER_URL" in result.stderr


@pytest.mark.s3
@pytest.mark.skipif(bool(missing()), reason=missing() or "")
async def test_into_a_bucket_killed_on_the_way_and_back(server: S3Server, tmp_path: Path) -> None:
    folder, data = tmp_path / "data" / "blobs", {}
    for number in range(60):
        path = folder / f"videos/j-{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        data[f"videos/j-{number}.mp4"] = os.urandom(9_000_000 if number == 7 else 300_000)
        path.write_bytes(data[f"videos/j-{number}.mp4"])
    url = server.url("media", "cards")
    into = {"BLOBS_URL": url, "BLOBS_FORMER_URL": "folder", "BLOBS_KEY": KEY}
    here = {"NEUROCARDS_DATA_DIR": str(tmp_path / "data")}
    bucket = open_blobs(load_settings(blobs_url=url, blobs_key=KEY))

    async def moved() -> int:
        return len([found async for found in bucket.all()])

    def run(env: dict[str, str], *more: str) -> tuple[int, dict[str, int]]:
        command = [sys.executable, "-m", "services.cli", "blobs", "migrate", "--yes", "-o", "json", *more]
        env = clean_environment() | here | env
        done = subprocess.run(command, check=False, env=env, capture_output=True, text=True)
        return done.returncode, (json.loads(done.stdout)[0] if done.stdout else {})

    command = [sys.executable, "-m", "services.cli", "blobs", "migrate", "--yes"]
    first = subprocess.Popen(  # noqa: ASYNC220
        command, env=clean_environment() | here | into, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    await eventually(moved, what="a first video in the bucket")
    first.send_signal(signal.SIGKILL)
    first.wait()
    code, counts = run(into)
    assert code == 0 and counts["copied"] + counts["there"] == 60 and counts["left"] == counts["erased"] == 0
    assert counts["copied"] > 0 and counts["there"] > 0
    hashes = {key: hashlib.sha256(value).hexdigest() for key, value in data.items()}
    assert {found.key: await bucket.sha256(found.key) async for found in bucket.all()} == hashes

    (folder / "videos/j-3.mp4").write_bytes(b"damaged since" + bytes(299_987))
    code, counts = run(into, "--delete")
    assert code == ExitCode.PARTLY and (counts["there"], counts["left"]) == (59, 1)
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["j-3.mp4"], "the one that differs"
    (folder / "videos/j-3.mp4").unlink()

    back = {"BLOBS_URL": "", "BLOBS_FORMER_URL": url, "BLOBS_KEY": KEY}
    code, counts = run(back, "--delete")
    assert code == 0 and counts == {"copied": 60, "there": 0, "erased": 0, "left": 0}
    assert await moved() == 0
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.mp4")} == {
        key.removeprefix("videos/"): digest for key, digest in hashes.items()
    }
