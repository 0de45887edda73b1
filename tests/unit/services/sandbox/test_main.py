"""Everything of the sandbox at one address: what libraries and the page find there."""

from services.sandbox.app import Clock
from services.sandbox.main import MODULES
from tests.support.outside import outside


async def test_the_bot_api_answers_at_the_root_too_with_the_token_that_the_page_shows() -> None:
    async with outside(MODULES, clock=Clock()) as sandbox:
        told = await sandbox.get("/__sandbox/health")
        for prefix in ("", "/telegram"):
            me = await sandbox.get(f"{prefix}/bot{told['bot_token']}/getMe")
            assert me["result"]["is_bot"] is True
