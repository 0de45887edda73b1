"""A door to Redis that can lose what the client says, or what the server answers, at a chosen moment."""

import asyncio
from collections.abc import Callable
from hashlib import sha1
from typing import Literal

from services.platform.lua import load_script

Fate = Literal["drop_before", "drop_after", "hang_before", "hang_after"]
"""Close the connection or fall silent; before the server has heard the command or after it has answered."""


def script_digest(package: str, *names: str) -> bytes:
    """How a script is called: by the SHA-1 of its text."""
    return sha1(load_script(package, *names).encode(), usedforsecurity=False).hexdigest().encode()


class RedisProxy:
    """Passes everything on until `choose`, asked for each piece from a client, names a fate for it."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.choose: Callable[[bytes], Fate | None] = lambda _: None
        self.struck = asyncio.Event()
        """Set once a fate has taken its course: the command is lost, or done and its answer lost."""
        self.strikes = 0

    async def __aenter__(self) -> "RedisProxy":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def url(self, database: int) -> str:
        assert self._server is not None
        return f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/{database}"

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server, to_server = await asyncio.open_unix_connection(self._socket_path)
        fate: list[Fate] = []
        back = asyncio.create_task(self._pass_back(server, to_client, fate))
        try:
            while data := await client.read(1 << 20):
                if not fate and (chosen := self.choose(data)) is not None:
                    self.strikes += 1
                    fate.append(chosen)
                if fate and fate[0].endswith("before"):
                    self.struck.set()
                    if fate[0] == "drop_before":
                        break
                    continue
                to_server.write(data)
        except OSError:
            pass  # a killed client resets its connection
        finally:
            back.cancel()
            to_server.close()
            to_client.close()
            self._tasks.discard(task)

    async def _pass_back(
        self, server: asyncio.StreamReader, to_client: asyncio.StreamWriter, fate: list[Fate]
    ) -> None:
        while data := await server.read(1 << 20):
            if not fate:
                to_client.write(data)
                continue
            self.struck.set()
            if fate[0] == "drop_after":
                break
        to_client.close()
