"""What people do on pages: asked first, with a reason, once however often it is sent, each in its role."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ledger import commands as c
from ledger.log.ledger import Ledger
from projections.engine.runner import Runner
from projections.models.job_status import JOB_STATUS
from services.dashboard.actions import ACTIONS
from services.dashboard.render import job_link
from services.dashboard.routes import Role
from services.generation.catalogue import load_catalogue
from services.operations.runner import OperationRunner, job_steps
from services.platform.blobs import FolderBlobs
from services.platform.database import create_pool, reading_pool
from services.platform.process_ledger import open_ledger
from services.platform.settings import Settings, load_settings
from tests.support.arena.processes import own_login
from tests.support.dashboard import Client, open_pages, page
from tests.support.dashboard_world import catch_up
from tests.support.order_fixture import OrderFixture, PlacedOrder

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

MODEL = load_catalogue().default.slug
WHY = "ticket <b>7</b>"


Desk = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def desk(database_url: str, settings: Settings) -> AsyncIterator[Desk]:
    """Opens the pages with the rights of the dashboard's own login."""
    own = settings.replace(database_url=own_login(database_url, "dashboard"))
    async with (
        await create_pool(own, "dashboard") as writing,
        await reading_pool(own, "dashboard") as reading,
        Ledger(own.require_database_url(), writing) as ledger,
    ):

        def opened(limit: int = 0, **who: Any) -> AbstractAsyncContextManager[Client]:
            return open_pages(reading, ledger, own.replace(approval_credits_min=limit), **who)

        yield opened


@pytest.fixture
async def order(ledger: Ledger, pool: "Pool", tmp_path: Path) -> PlacedOrder:
    """Two failed jobs and an open one, as the read model has them."""
    studio = OrderFixture(ledger, pool, FolderBlobs(tmp_path))
    order = await studio.order(await studio.seller(credits=9), 3, model=MODEL)
    for job in order.jobs[:2]:
        await studio.fail(order, job, "poison")
    runner = Runner(pool, JOB_STATUS)
    await runner.apply(await ledger.read.events_after((await runner.cursor()).position))
    return order


def hidden(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))


async def send(client: Client, address: str, **said: str) -> tuple[int, str]:
    """Where an answer leads, or why it is refused."""
    response = await client.post(address, data=said, allow_redirects=False)
    return response.status, response.headers.get("Location") or await response.text()


def address(path: str, name: str) -> str:
    return re.sub(r"{name[^}]*}", name, path).replace("{change}", "c1")


async def run(database_url: str) -> None:
    """What maintenance does, with its own rights."""
    own = load_settings(database_url=own_login(database_url, "maintenance"))
    async with open_ledger(own, "maintenance") as (ledger, pool):
        await OperationRunner(pool, job_steps(own, ledger, pool), asyncio.Event()).run_once()


async def test_a_group_is_a_frozen_plan_done_once_and_its_page_tells(desk, pool, database_url, order):
    async with desk(role=Role.operator) as client:
        form = hidden(await page(client, "/errors/requeue"))
        assert form["targets"].split() == sorted(order.jobs[:2], key=form["targets"].index)
        for reason in ("", " ", "x" * 501, "\x00"):
            assert (await send(client, "/errors/requeue", **form, reason=reason))[0] == 400
        later = await page(client, "/jobs/" + order.jobs[0] + "/retry")  # a tab that was opened before
        asked = [await send(client, "/errors/requeue", **form, reason=WHY) for _ in range(2)]
        assert asked == [(303, f"/operations/{form['key']}{again}") for again in ("", "?again=1")]
        shown = await page(client, asked[0][1])
        assert "was sent before" not in shown and "was sent before" in await page(client, asked[1][1])
        assert "0 of 2" in shown and "ticket &lt;b&gt;7" in shown and 'hx-trigger="every 2s"' in shown
        await run(database_url)
        progress = await page(client, asked[0][1] + "/progress")
        assert "2 of 2" in progress and "hx-get" not in progress
        status, text = await send(client, f"/jobs/{order.jobs[0]}/retry", **hidden(later), reason=WHY)
        assert status == 409 and "the job is made again as" in text
        assert "make again" in await page(client, "/operations")
        await catch_up(pool, "job_status")
        made = await pool.fetchval("SELECT requeued_as FROM job_status WHERE job = $1", order.jobs[0])
        assert f"→ {job_link(made)}" in await page(client, asked[0][1])
        form = hidden(await page(client, "/read-models/daily/rebuild"))
        _, where = await send(client, "/read-models/daily/rebuild", **form, reason=WHY)
        assert "<pre>neurocards operations run</pre>" in await page(client, where)
    assert await pool.fetchval("SELECT count(*) FROM operations") == 2
    assert await pool.fetchval("SELECT count(*) FROM events WHERE type = 'JobRequeued'") == 2


async def test_an_abort_comes_before_what_has_not_begun(desk, database_url, order):
    async with desk() as client:
        form = hidden(await page(client, "/errors/drop"))
        _, where = await send(client, "/errors/drop", **form, reason=WHY)
        assert (await send(client, where + "/abort"))[0] == 303
        assert "aborted: 0 of 2" in await page(client, where)
        await run(database_url)
        assert "aborted: 0 of 2" in await page(client, where)


@pytest.mark.parametrize("locale", ["en", "ru"])
async def test_every_form_shows_what_it_would_do(desk, ledger, order, locale: str):
    account = order.seller.account
    await ledger.execute(c.ProposeChange(account, "c1", "grant", 7, "x", "user:else"), key="c1")
    places = {
        "/jobs/{name}/retry": order.jobs[0], "/jobs/{name}/cancel": order.jobs[2],
        "/jobs/{name}/fail": order.jobs[2], "/models/{name:.+}/pause": MODEL,
        "/models/{name:.+}/resume": MODEL,
        "/read-models/{name}/rebuild": "balances",
    }  # fmt: skip
    fields = {"amount": "5", "class": "our_fault"}
    async with desk(locale=locale) as client:
        for action in ACTIONS:
            path = address(action.path, places.get(action.path, account))
            needed = [field.name for field in action.fields if field.needed]
            asked = "?" + "&".join(f"{name}={fields[name]}" for name in needed)
            form = hidden(await page(client, path + asked))
            assert set(form) >= {"key", *needed}, path
            if needed:
                assert hidden(await page(client, path)) == {}
        for path in ("/operations", "/people/nobody/forget", "/read-models/x/rebuild", "/jobs/x/cancel"):
            await page(client, path, status=200 if path == "/operations" else 409)
        await page(client, f"/people/{account}/grant?amount=x", status=400)
        await page(client, f"/jobs/{order.jobs[2]}/fail?class=x", status=400)
        await page(client, "/errors/drop?group=%00", status=400)


async def test_each_action_is_its_role_s(desk, order):
    for role in Role.auditor, Role.operator, Role.owner:
        async with desk(role=role) as client:
            for action in ACTIONS:
                path = address(action.path, order.seller.account)
                for method in ("GET", "POST"):
                    response = await client.request(method, path, allow_redirects=False)
                    assert (response.status == 403) == (role < action.least), (role, method, path)
            refused = await client.post("/operations/none/abort", allow_redirects=False)
            assert (refused.status == 403) == (role < Role.operator)


async def grant(client: Client, account: str, amount: int, reason: str = WHY) -> tuple[int, str]:
    path = f"/people/{account}/grant"
    return await send(client, path, **hidden(await page(client, f"{path}?amount={amount}")), reason=reason)


async def test_credits_add_up_to_the_limit_and_then_wait_for_a_second_person(desk, ledger, order):
    account = order.seller.account

    async def balance() -> int:
        return int((await ledger.read.account(account)).balance)

    before = await balance()
    invite = "SELECT ledger.invite_user('u1', 'olga', 'operator', $1, $1)"
    await ledger.read.pool.fetchval(invite, bytes(32))
    async with (
        desk(100, role=Role.operator, name="u1") as one,
        desk(100, name="u2") as two,
    ):
        form = hidden(await page(one, f"/people/{account}/grant?amount=60"))
        answers = [await send(one, f"/people/{account}/grant", **form, reason=WHY) for _ in range(2)]
        assert answers[0][1].startswith("/events/") and answers[1] == (303, answers[0][1] + "?again=1")
        assert await balance() == before + 60
        assert await grant(one, account, 40) == (303, "/operations")
        assert await balance() == before + 60
        listed = await page(one, "/operations")
        assert 'data-name="Asked by">olga<' in listed
        (row,) = re.findall(r"/proposals/(\w+)/(\w+)/withdraw", listed)
        path = f"/proposals/{row[0]}/{row[1]}"
        await page(one, path + "/approve", status=403)
        forms = [hidden(await page(client, path + "/approve")) for client in (two, two)]
        both = await asyncio.gather(*(send(two, path + "/approve", **form, reason="yes") for form in forms))
        assert sorted(status for status, _ in both) == [303, 409]
        assert await balance() == before + 100
        assert (await grant(one, account, 39))[1].startswith("/events/")  # what was approved is not one's own
        assert (await grant(two, account, 99))[1].startswith("/events/")


async def test_what_is_proposed_and_erased_is_not_approved(desk, ledger, order):
    account = order.seller.account
    async with desk(1) as client:
        assert (await grant(client, account, 40)) == (303, "/operations")
        ((_, change),) = re.findall(r"/proposals/(\w+)/(\w+)/approve", await page(client, "/operations"))
        path = f"/proposals/{account}/{change}/approve"
        text = await page(client, path)
        assert "You proposed this yourself" in text
        await ledger.execute(c.ForgetAccount(account, "asked", "account:x"), key="forget")
        status, text = await send(client, path, **hidden(text), reason="yes")
        assert status == 409 and "the proposal is not open" in text
        assert "Nothing waits" in await page(client, "/operations")


async def test_sales_are_paused_and_go_on(desk, ledger):
    async with desk() as client:
        for path, closed in (("/sales/pause", "paused"), ("/sales/resume", None)):
            form: dict[str, Any] = hidden(await page(client, path))
            status, where = await send(client, path, **form, reason=WHY)
            assert (status, where.startswith("/events/")) == (303, True)
            assert (await ledger.read.sales()).closed(0) == closed
