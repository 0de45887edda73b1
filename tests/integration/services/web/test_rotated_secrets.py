"""What was told under a secret that signs no more is taken while that stands behind the new one."""

import pytest

from ledger.log.ledger import Ledger
from services.generation.callback_urls import callback_url
from services.platform.blobs import one_chunk
from services.platform.file_links import FileLinks
from services.platform.metrics import OLD_SECRETS
from services.platform.settings import Settings
from tests.integration.services.web.conftest import PUBLIC, Browser, ScriptedKie, finished, task_of
from tests.integration.services.web.test_signed_callbacks import signed
from tests.support.order_fixture import OrderFixture

OLD, NEW, NEVER = "the secret before that", "the secret from now on", "one that was never ours"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.replace(callback_secret=f"{NEW},{OLD}", kie_webhook_hmac_key="key-new,hmac-key-of-kie")


@pytest.mark.parametrize(("secrets", "status"), [(OLD, 200), (f"{NEW},{OLD}", 200), (NEVER, 404)])
async def test_a_lost_task_is_found_by_a_callback_under_any_secret_that_stands(
    job: str,
    browser: Browser,
    provider: ScriptedKie,
    ledger: Ledger,
    settings: Settings,
    secrets: str,
    status: int,
) -> None:
    """The answer to createTask was lost: nothing but this call can find the video that was paid for."""
    url = callback_url(settings.replace(callback_secret=secrets), job, 1)
    assert url is not None
    provider.made("t1", url)
    used = OLD_SECRETS.labels("callback")._value.get()
    answer = await browser.call_back(url.removeprefix(PUBLIC), finished("t1"), **signed("t1"))
    assert answer[0] == status
    assert await task_of(ledger, job) == ("t1" if status == 200 else None)
    assert OLD_SECRETS.labels("callback")._value.get() - used == (secrets == OLD)


async def test_links_that_sellers_have_lead_to_their_videos(
    browser: Browser, settings: Settings, studio: OrderFixture
) -> None:
    await studio.blobs.put("videos/a.mp4", one_chunk(b"film"), size_bytes_max=10)
    for secret, status in ((OLD, 200), (NEW, 200), (NEVER, 404)):
        links = FileLinks(settings.replace(callback_secret=secret))
        link = links.url("videos/a.mp4", 4_000_000_000).removeprefix(PUBLIC)
        async with browser.http.get(browser.base + link) as reply:
            assert reply.status == status


async def test_calls_signed_with_any_of_the_providers_keys_are_taken(
    job: str, browser: Browser, provider: ScriptedKie
) -> None:
    path = browser.path(job)
    provider.made("t1", PUBLIC + path)
    for key, status in (("key-new", 200), ("hmac-key-of-kie", 200), ("another", 401)):
        assert (await browser.call_back(path, finished("t1"), **signed("t1", key=key)))[0] == status
