"""Batching: one round trip for concurrent questions, to Postgres or Redis.

What is asked while an answer is under way goes out with the next; a lone question does not wait.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha1
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

Question = TypeVar("Question")
Answer = TypeVar("Answer")


class Batcher(Generic[Question, Answer]):
    """Collects questions for `answer_all`, up to `size_max` in order.

    An answer that is an exception is raised to its asker; what `answer_all` raises, to all of them.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Question]], Awaitable[Sequence[Answer | Exception]]],
        *,
        size_max: int = 200,
    ) -> None:
        self._answer_all = answer_all
        self._size_max = size_max
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def ask(self, question: Question) -> Answer:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future))
        if self._task is None:
            # In a context of its own: what it logs is not about the job of whoever happened to ask first.
            self._task = asyncio.create_task(self._work(), name="batcher", context=contextvars.Context())
        return await future

    async def _work(self) -> None:
        try:
            while batch := self._take():
                answers: Sequence[Answer | Exception]
                try:
                    answers = await self._answer_all([question for question, _ in batch])
                except Exception as error:  # each of those who asked gets it
                    answers = [error] * len(batch)
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue  # whoever asked has gone
                    if isinstance(answer, Exception):
                        future.set_exception(answer)
                    else:
                        future.set_result(answer)
        finally:
            self._task = None

    def _take(self) -> list[tuple[Question, "asyncio.Future[Answer]"]]:
        taken: list[tuple[Question, asyncio.Future[Answer]]] = []
        while self._waiting and len(taken) < self._size_max:
            question, future = self._waiting.popleft()
            if not future.done():
                taken.append((question, future))
        return taken


Command = tuple[str | int, ...]


class RedisBatcher:
    """Batches commands and `scripts` safe to send twice. A pipeline fails after `answer_s`."""

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
