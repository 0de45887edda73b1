"""The primary that a Sentinel names is used like any server; a wrong address is told in words."""

from collections.abc import Iterator

import pytest

from services.cli.doctor.servers import check_redis_server
from services.platform.errors import StartError
from services.platform.redis import blocking_client, check_redis, command_client
from services.platform.settings import load_settings
from tests.support import servers
from tests.support.sentinel import HOST, NAME, Server

WORDS = {
    "{guard}/other?sentinel_password=guard": "no Sentinel in REDIS_URL names a primary",
    "{guard}/cards": "no Sentinel in REDIS_URL names a primary",
    "{server}/cards?sentinel_password=secret": "a server answers there: write redis://",
}


@pytest.fixture
def places() -> Iterator[dict[str, str]]:
    """A server with a password, and a Sentinel with another."""
    with servers.short_folder() as folder:
        server = Server(folder, "server", ["requirepass secret"])
        watch = [
            f"sentinel monitor {NAME} {HOST} {server.port} 1",
            f"sentinel auth-pass {NAME} secret",
            "requirepass guard",
        ]
        sentinel = Server(folder, "sentinel", watch, "--sentinel")
        try:
            server.start()
            sentinel.start()
            yield {"server": f"{HOST}:{server.port}", "guard": f"{HOST}:{sentinel.port}"}
        finally:
            sentinel.stop()
            server.stop()


async def test_the_primary_that_a_sentinel_names_is_used(places: dict[str, str]) -> None:
    for address, words in WORDS.items():
        wrong = load_settings(redis_url=f"redis+sentinel://:secret@{address.format(**places)}")
        async with command_client(wrong) as client:
            with pytest.raises(StartError, match=words):
                await check_redis(client)
    hosts = f"127.0.0.1:9,{places['guard']}"  # one of them is down
    settings = load_settings(redis_url=f"redis+sentinel://:secret@{hosts}/{NAME}/3?sentinel_password=guard")
    found = {check.name: check.state for check in await check_redis_server(settings)}
    assert found["REDIS_URL"] == found["Redis streams"] == "ok"
    async with command_client(settings) as client, blocking_client(settings, 1) as reader:
        await client.xadd("news", {"a": "b"}, "1-0")
        assert (await client.client_info())["db"] == 3
        assert await reader.xread({"news": "0"}, block=1000)
