"""The provider's callbacks: a lost task is found again, and nothing forged changes anything."""

from typing import TYPE_CHECKING
from unittest.mock import AsyncMock

import asyncpg
import pytest
from structlog.testing import capture_logs

from events.job import Failure
from ledger import commands as c
from ledger.errors import LedgerUnavailableError
from ledger.log.ledger import Ledger
from services.adapters.kie.gateway import account_name
from services.platform.settings import Settings
from tests.integration.services.web.conftest import OK, PUBLIC, Browser, ScriptedKie, finished, task_of
from tests.support.order_fixture import OrderFixture

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]


async def test_a_call_before_the_acceptance_records_the_task(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    assert await browser.call_back(browser.path(job), finished("t1")) == (200, OK)
    assert await task_of(ledger, job) == "t1"
    assert provider.reads == [("t1", "Bearer key-one")]
    assert browser.hinted == [job]


async def test_called_again_nothing_changes(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    await browser.call_back(browser.path(job), finished("t1"))
    head = await ledger.read.head()
    for _ in range(3):
        assert await browser.call_back(browser.path(job), finished("t1")) == (200, OK)
    assert await ledger.read.head() == head
    assert len(provider.reads) == 1


async def test_a_call_about_a_known_task_wakes_its_holder(
    studio: OrderFixture, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    order = await studio.order(await studio.seller())
    await studio.start(order.jobs[0])
    await studio.submit(order.jobs[0], task="t1")
    head = await ledger.read.head()
    assert await browser.call_back(browser.path(order.jobs[0]), finished("t1")) == (200, OK)
    assert browser.hinted == [order.jobs[0]]
    assert not provider.reads and await ledger.read.head() == head


async def test_calls_in_the_wrong_order_find_their_own_submissions(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger, settings: Settings
) -> None:
    """The second submission's call comes first, then that of the first, which was given up."""
    account = (await ledger.read.job(job)).account
    refused = c.FailSubmission(job, account, 1, 1, Failure("transient"), retry_at_us=1)
    await ledger.execute(refused, key=f"refuse:{job}:1")
    intent = c.IntendSubmission(job, 1, 2, account_name(settings.kie_keys[0]), "m")
    await ledger.execute(intent, key=f"intend:{job}:2")
    for number in (2, 1):
        provider.made(f"t{number}", PUBLIC + browser.path(job, number))
        assert (await browser.call_back(browser.path(job, number), finished(f"t{number}")))[0] == 200
    assert [s.task for s in (await ledger.read.job(job)).submissions] == ["t1", "t2"]
    # And neither address takes the other one's task.
    assert (await browser.call_back(browser.path(job, 1), finished("t2")))[0] == 404


async def test_a_wrong_secret_is_not_even_looked_at(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    right = browser.path(job)
    head = await ledger.read.head()
    paths = [right[:-1] + ("0" if right[-1] != "0" else "1"), right[:-1], right + "0"]
    paths.append(right.replace("/1/", "/2/"))
    paths.append(right.replace(job, job + "x"))
    for path in paths:
        assert (await browser.call_back(path, finished("t1")))[0] == 404, path
    assert not provider.reads
    assert await ledger.read.head() == head


async def test_a_task_that_was_not_made_for_us_is_refused(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    """Someone who knows the address cannot put a task of their own in, even one on our account."""
    head = await ledger.read.head()
    for url in (
        "https://evil.example/hook",
        None,
        PUBLIC + browser.path(job, 2),
        "https://cards.example.evil" + browser.path(job),
        PUBLIC + browser.path(job) + "/",
    ):
        provider.made("t1", url)
        assert (await browser.call_back(browser.path(job), finished("t1")))[0] == 404, url
    assert await ledger.read.head() == head


async def test_what_the_body_says_is_not_believed(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    """A success with somebody's video in it, but the task is unknown to the provider."""
    forged = finished("t-forged")
    forged["data"] = {
        "taskId": "t-forged",
        "state": "success",
        "param": {"callBackUrl": PUBLIC + browser.path(job)},
        "resultJson": '{"resultUrls":["https://evil.example/x.mp4"]}',
    }
    head = await ledger.read.head()
    assert (await browser.call_back(browser.path(job), forged))[0] == 404
    assert await ledger.read.head() == head
    assert not browser.hinted


async def test_nonsense_is_answered_and_changes_nothing(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    head = await ledger.read.head()
    for body in (b"", b"{", b"[]", b'{"taskId": 7}', b"[" * 50_000):
        assert (await browser.call_back(browser.path(job), body))[0] == 400
    assert not provider.reads
    assert await ledger.read.head() == head


async def test_a_huge_body_is_refused(job: str, browser: Browser) -> None:
    status, _ = await browser.call_back(browser.path(job), b"x" * 300_000)
    assert status == 413


async def test_a_provider_that_is_away_makes_it_come_again(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    provider.away = True
    assert (await browser.call_back(browser.path(job), finished("t1")))[0] == 503
    provider.away = False
    assert (await browser.call_back(browser.path(job), finished("t1")))[0] == 200
    assert await task_of(ledger, job) == "t1"


async def test_a_database_that_is_away_makes_it_come_again(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    for error in (LedgerUnavailableError("away"), asyncpg.InterfaceError("closed"), OSError("gone")):
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "execute", AsyncMock(side_effect=error))
            assert (await browser.call_back(browser.path(job), finished("t1")))[0] == 503
    assert (await browser.call_back(browser.path(job), finished("t1")))[0] == 200


async def test_a_second_task_of_one_submission_is_reported_not_recorded(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger
) -> None:
    for task in ("t1", "t2"):
        provider.made(task, PUBLIC + browser.path(job))
    await browser.call_back(browser.path(job), finished("t1"))
    with capture_logs() as logs:
        assert (await browser.call_back(browser.path(job), finished("t2")))[0] == 200
    assert [log["task"] for log in logs if log["event"] == "submission_has_two_tasks"] == ["t2"]
    assert await task_of(ledger, job) == "t1"


async def test_after_the_refund_the_task_is_still_recorded(
    job: str, browser: Browser, provider: ScriptedKie, ledger: Ledger, studio: OrderFixture
) -> None:
    """So that its video can be found and given as a gift."""
    account = (await ledger.read.job(job)).account
    await ledger.execute(c.FailJob(job, account, "operator", Failure("timeout")), key=f"fail:{job}:operator")
    provider.made("t1", PUBLIC + browser.path(job))
    assert (await browser.call_back(browser.path(job), finished("t1")))[0] == 200
    assert await task_of(ledger, job) == "t1"


async def test_an_unknown_job_with_its_right_secret_is_not_found(
    browser: Browser, provider: ScriptedKie
) -> None:
    assert (await browser.call_back(browser.path("nobody"), finished("t1")))[0] == 404
    assert not provider.reads


async def test_no_log_line_holds_a_secret(job: str, browser: Browser, provider: ScriptedKie) -> None:
    provider.made("t1", PUBLIC + browser.path(job))
    secret = browser.path(job).rsplit("/", 1)[1]
    with capture_logs() as logs:
        await browser.call_back(browser.path(job), finished("t1"))
        await browser.call_back(browser.path(job)[:-1] + "x", finished("t1"))
    assert len([log for log in logs if log["event"] == "request_answered"]) == 2
    assert secret[:-1] not in repr(logs)
