"""Files that the log names: gone, other, swept or lost, each is told apart; by command and by maintenance."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from prometheus_client import REGISTRY

from ledger import commands as c
from ledger.log.ledger import Ledger
from services.accounts.logged_files import check_files
from services.maintenance.verification import Verification
from services.platform.blobs import FolderBlobs, one_chunk
from services.platform.settings import load_settings
from tests.support.fork_server import neurocards
from tests.support.order_fixture import OrderFixture
from tests.support.services import clean_environment

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

MARK = """INSERT INTO swept_blobs (blob, sha256, swept_at, why)
VALUES ($1, $2, now() - $3 * interval '1 hour', $4)"""
KINDS = ("whole", "gone", "longer", "other", "swept", "lost", "changed", "back", "unasked")


async def test_each_is_told_apart(ledger: Ledger, pool: "Pool", database_url: str, tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    studio = OrderFixture(ledger, pool, blobs)
    order = await studio.order(await studio.seller(), len(KINDS))
    await blobs.put("photos/p.jpg", one_chunk(b"photo"), size_bytes_max=9)
    await studio.finish_all(order.jobs)
    gone = await studio.order(await studio.seller())
    await studio.finish_all(gone.jobs)
    forget = c.ForgetAccount(gone.seller.account, "asked", "login:neurocards_operator")
    await ledger.execute(forget, key="forget")
    videos = {kind: f"videos/{job}.mp4" for kind, job in zip(KINDS, order.jobs, strict=True)}
    videos["erased"] = f"videos/{gone.jobs[0]}.mp4"
    right = await blobs.sha256(videos["whole"])
    assert await check_files(pool, blobs, read=True) == []

    (blobs.root / videos["longer"]).write_bytes(b"mp4 bytes and more")
    (blobs.root / videos["other"]).write_bytes(b"mp4 BYTES")
    for kind, sha256, hours, why in (
        ("swept", right, 30, "age"),
        ("lost", None, 30, "missing"),
        ("changed", "ab" * 32, 30, "age"),
        ("back", right, 30, "age"),
        ("erased", None, 1, "erased"),
        ("unasked", None, 1, "erased"),
    ):
        await pool.execute(MARK, videos[kind], sha256, hours, why)
    for kind in ("gone", "swept", "lost", "changed"):
        await blobs.delete(videos[kind])

    async def flaws(*, read: bool) -> dict[str, str]:
        found = {problem.message.split()[0]: problem for problem in await check_files(pool, blobs, read=read)}
        assert all(problem.kind == "blob" and problem.position for problem in found.values())
        return {kind: found[name].message for kind, name in videos.items() if name in found}

    said = await flaws(read=True)
    assert {kind: words.partition(" ")[2] for kind, words in said.items()} == {
        "gone": "is gone, and was never swept: it was lost or taken",
        "longer": "has 18 bytes, and should have 9",
        "other": "holds other bytes than the log says",
        "lost": "was lost before it was of age",
        "changed": "held other bytes than the log says when it was swept",
        "back": "is there, though it was swept more than a day ago",
        "unasked": "is marked as an erased person's, and nobody erased its account",
    }
    assert (await flaws(read=False)).keys() == said.keys() - {"other"}
    await blobs.delete("photos/p.jpg")
    assert any("photos/p.jpg is gone" in one.message for one in await check_files(pool, blobs, read=False))

    await _told_by_command_and_maintenance(pool, database_url, tmp_path)


async def _told_by_command_and_maintenance(pool: "Pool", database_url: str, tmp_path: Path) -> None:
    env = clean_environment(DATABASE_URL=database_url, NEUROCARDS_DATA_DIR=tmp_path)
    words = ["ledger", "verify", "--log-only", "--blobs", "-o", "jsonl"]
    done = await asyncio.to_thread(neurocards, words, cwd=tmp_path, env=env)
    assert done.returncode == 3 and done.stdout.count('"kind": "blob"') == 8, done
    done = await asyncio.to_thread(
        neurocards, words, cwd=tmp_path, env=env | {"NEUROCARDS_DATA_DIR": "/none"}
    )
    assert done.returncode == 2 and "NEUROCARDS_DATA_DIR" in done.stderr

    settings = load_settings(database_url=database_url, data_dir=tmp_path)
    assert await Verification(settings, pool, asyncio.Event(), first_s=0).run_once() == 1
    assert REGISTRY.get_sample_value("neurocards_verification_problems", {"kind": "blob"}) == 7


async def test_what_is_swept_while_it_is_looked_at_is_not_missing(
    ledger: Ledger, pool: "Pool", tmp_path: Path
) -> None:
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    order = await studio.order(await studio.seller())
    await studio.finish_all(order.jobs)
    await studio.blobs.put("photos/p.jpg", one_chunk(b"photo"), size_bytes_max=9)

    class Sweeping(FolderBlobs):
        async def sizes(self, keys):
            """Its mark, and then the file."""
            name = f"videos/{order.jobs[0]}.mp4"
            await pool.execute(MARK, name, "ab" * 32, 0, "age")
            await self.delete(name)
            return await super().sizes(keys)

    assert await check_files(pool, Sweeping(tmp_path), read=True) == []
