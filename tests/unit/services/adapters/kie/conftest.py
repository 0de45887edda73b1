"""A client whose other side is a function."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from services.adapters.kie.gateway import KieClient, KieHttp

Handler = Callable[[httpx.Request], httpx.Response]
NewClient = Callable[[Handler], KieClient]


def replying(status: int, body: Any, **headers: str) -> Handler:
    """Always this reply; what is not text or bytes is sent as JSON."""
    content = body if isinstance(body, str | bytes) else json.dumps(body)

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            status, content=content, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return handler


def raising(error: Exception) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        raise error

    return handler


@pytest.fixture
def new_client() -> NewClient:
    def make(handler: Handler) -> KieClient:
        http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
        return KieClient(
            "k1", SecretStr("the-key"), "https://api.test", "https://up.test", KieHttp(once=http, kept=http)
        )

    return make
