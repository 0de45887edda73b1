"""Downloads: what is in the ZIP is what the manifest says, and a proof holds without us."""

import asyncio
import csv
import io
import json
from hashlib import sha256
from zipfile import ZipFile

import pytest
from structlog.testing import capture_logs

from events.codec import decode
from ledger import commands as c
from ledger.checkpoints.proof import decode as decode_proof
from ledger.checkpoints.proof import verify
from ledger.log.ledger import Ledger
from ledger.log.reader import LogReader
from ledger.postgres import Connection, Pool
from projections.reports.log_position import AsOf
from projections.reports.statement import statement
from services.dashboard import event_search
from services.dashboard.pages import downloads
from services.platform.settings import Settings
from tests.support.dashboard import Client, open_pages, page
from tests.support.dashboard_world import make_world
from tests.support.notes import KEY
from tests.support.traffic import Traffic
from tests.support.waiting import eventually


async def unzipped(client: Client, address: str) -> tuple[bytes, dict[str, object]]:
    """The file and its manifest, which is held against it."""
    async with client.get(address) as response:
        assert response.status == 200, await response.text()
        archive = ZipFile(io.BytesIO(await response.read()))
    name, beside = archive.namelist()
    content, manifest = archive.read(name), json.loads(archive.read(beside))
    assert beside == f"{name}.manifest.json" and manifest["file"] == name
    assert (manifest["sha256"], manifest["size_bytes"]) == (sha256(content).hexdigest(), len(content))
    return content, manifest


async def test_each_file_is_what_its_manifest_says(
    pool: Pool, ledger: Ledger, settings: Settings, owner: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    world = await make_world(ledger, owner, pool)
    monkeypatch.setattr(event_search, "WINDOW", 50)
    log = await LogReader(pool).events_after(0, 10_000)
    async with open_pages(pool, ledger, settings) as client:
        content, manifest = await unzipped(
            client, "/downloads/events?form=jsonl&type=CreditsCharged&position=200"
        )
        rows = [json.loads(line) for line in content.splitlines()]
        wanted = [e.position for e in log if e.type == "CreditsCharged" and e.position <= 200]
        assert [row["position"] for row in reversed(rows)] == wanted and manifest["rows"] == len(wanted)
        assert (manifest["position"], manifest["head"]) == (200, log[199].hash.hex())
        assert manifest["filters"] == {"form": ["jsonl"], "type": ["CreditsCharged"], "position": ["200"]}
        assert log[wanted[0] - 1].data.encode() in content, "not the text that was hashed"

        content, manifest = await unzipped(client, "/downloads/events?form=csv")
        assert (
            len([*csv.reader(io.StringIO(content.decode()))])
            == len(log) + 1
            == int(str(manifest["rows"])) + 1
        )

        content, _ = await unzipped(
            client, f"/downloads/statement?account={world.account}&position=300&form=csv"
        )
        listed = [*csv.DictReader(io.StringIO(content.decode()))]
        made = await statement(pool, world.account, None, AsOf(position=300))
        assert [int(row["balance"]) for row in listed] == [balance for _, balance in made.movements]

        for what, least in (("payments", 3), ("exceptions", 4), ("trial-balance", 5)):
            for form in ("csv", "jsonl"):
                content, manifest = await unzipped(client, f"/downloads/{what}?form={form}")
                assert len(content.splitlines()) >= least and int(str(manifest["rows"])) >= least
        await page(client, "/downloads/nothing", 404)
        await page(client, "/downloads/events?form=xml", 400)


async def test_no_cell_is_a_formula(pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic) -> None:
    await traffic.open_accounts(1)
    await ledger.execute(
        c.GrantCredits("a0", 5, "manual", '=HYPERLINK("http://x")', actor="account:a0"), key="-1+1"
    )
    async with open_pages(pool, ledger, settings) as client:
        content, _ = await unzipped(client, "/downloads/statement?account=a0&form=csv")
        assert "'=HYPERLINK" in content.decode()
        content, _ = await unzipped(client, "/downloads/events?account=a0&form=csv")
        assert {row["key"] for row in csv.DictReader(io.StringIO(content.decode()))} >= {"'-1+1"}


async def test_a_proof_from_an_events_page_holds_without_us(
    pool: Pool, ledger: Ledger, settings: Settings, owner: Connection
) -> None:
    world = await make_world(ledger, owner, pool)
    async with open_pages(pool, ledger, settings) as client:
        assert "/events/9/proof" in await page(client, "/events/9")
        async with client.get("/events/9/proof") as response:
            assert "attachment" in response.headers["Content-Disposition"]
            [event] = verify(decode_proof(await response.read()), KEY.public)[1]
        async with client.get(f"/audit/notes/{world.note}") as response:
            assert f"\n{world.note}\n" in await response.text()
        assert decode(event) == decode((await LogReader(pool).events_at([9]))[0])
        await ledger.execute(c.OpenAccount("late", "2" * 64), key="later")
        assert "/proof" not in await page(client, f"/events/{int(world.note) + 1}")
        assert "under no checkpoint yet" in await page(client, f"/events/{int(world.note) + 1}/proof", 404)
        await page(client, "/events/x/proof", 400)
        await page(client, "/audit/notes/5", 404)


async def test_a_download_that_finds_nothing_ends_when_its_client_has_left(
    pool: Pool, ledger: Ledger, settings: Settings, traffic: Traffic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await traffic.open_accounts(1)
    looked = asyncio.Event()

    async def search(*_: object) -> event_search.Found:
        looked.set()
        await asyncio.sleep(0)
        return event_search.Found((), 1, 1, 1, 1)  # for ever nothing, and more to look through

    monkeypatch.setattr(downloads, "search", search)
    async with open_pages(pool, ledger, settings) as client:
        with capture_logs() as logs:
            response = await client.get("/downloads/events?form=csv&type=JobFailed")
            await looked.wait()
            response.close()
            await eventually(lambda: [log for log in logs if log["event"] == "request_answered"])
