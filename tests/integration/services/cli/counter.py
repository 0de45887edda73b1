"""Operators' commands as they are run: without a terminal, each in a process of its own."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.fork_server import neurocards
from tests.support.services import clean_environment

WHY = ("--reason", "asked by the seller")


class Counter:
    """Runs `neurocards …` on the test's database."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder = folder
        self._env = clean_environment(DATABASE_URL=database_url)

    async def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(neurocards, words, cwd=self._folder, env=self._env)

    async def rows(self, *words: str) -> list[dict[str, Any]]:
        done = await self.run(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))
