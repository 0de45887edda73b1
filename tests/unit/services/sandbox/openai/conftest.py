"""OpenAI's sandbox, and the SDK before it."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI

from services.sandbox import openai as sandboxed
from tests.support.outside import Outside, outside


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with outside({"/openai": sandboxed.routes}) as running:
        yield running


@pytest.fixture
async def client(sandbox) -> AsyncIterator[AsyncOpenAI]:
    async with client_of(sandbox) as made:
        yield made


def client_of(sandbox: Outside, key: str = "sk-sandbox") -> AsyncOpenAI:
    return AsyncOpenAI(api_key=key, base_url=f"{sandbox.url}/openai/v1", timeout=60, max_retries=0)
