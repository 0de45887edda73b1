"""Commands and scripts to Redis, those of many tasks in one pipeline."""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from services.shared.batcher import Batcher

Command = tuple[str | int, ...]


class RedisBatcher:
    """`scripts` are the texts of scripts by the names they are asked by; all must be safe to send twice.

    A pipeline that is not answered within `answer_s` has failed.
    """

    def __init__(self, redis: Redis, scripts: Mapping[str, str], *, answer_s: float) -> None:
        self._redis = redis
        self._texts = tuple(scripts.values())
        self._digests = {
            name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in scripts.items()
        }
        self._answer_s = answer_s
        self._batcher: Batcher[Command, Any] = Batcher(self._ask_all)

    async def ask(self, name: str, *arguments: str | int) -> Any:
        """Call a command. Raises RedisError, OSError or TimeoutError."""
        return await self._batcher.ask((name, *arguments))

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        """Run a script; see `ask`."""
        return await self._batcher.ask(("EVALSHA", self._digests[script], len(keys), *keys, *arguments))

    async def _ask_all(self, commands: Sequence[Command]) -> list[Any]:
        async with asyncio.timeout(self._answer_s):
            answers = await self._send(commands)
            unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if unknown:  # the server is new to them, or has been restarted
                await self._send([("SCRIPT LOAD", text) for text in self._texts])
                again = await self._send([commands[n] for n in unknown])
                for n, answer in zip(unknown, again, strict=True):
                    answers[n] = answer
        return answers

    async def _send(self, commands: Sequence[Command]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute(raise_on_error=False)
            return answers
