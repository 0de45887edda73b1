"""Benchmarks print tables; they assert only that the work was done right, never how fast."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from services.local.postgres import EmbeddedPostgres
from tests.support.servers import OPERATOR, migrated, short_folder


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Tables and warnings; no word of each migration."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    yield
    structlog.reset_defaults()


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A migrated Postgres that syncs as in production, which costs nothing where its data lie in memory."""
    with short_folder() as sockets:
        server = EmbeddedPostgres(sockets / "data", sockets, tmp_path / "postgres.log", durable=True)
        server.start()
        try:
            asyncio.run(migrated(server))
            yield server
        finally:
            server.stop()


@pytest.fixture
def bot_url(durable: EmbeddedPostgres) -> str:
    """The login that takes orders: what an operator appends has an index of its own."""
    return durable.url(user="neurocards_bot")


@pytest.fixture
def durable_url(durable: EmbeddedPostgres) -> str:
    return durable.url(user=OPERATOR)
