"""Logs: readable or JSON, and no secret gets out, whichever way it came in."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog

from services.platform.batching import Batcher
from services.platform.logs import configure_logging
from services.platform.settings import Settings, load_settings

BOT, KIE, DB = "123456:AAbotSECRETbot", "kie-SECRET-key", "dbSECRET"


@pytest.fixture
def settings() -> Settings:
    return load_settings(
        bot_token=BOT, kie_api_keys=KIE, database_url=f"postgresql://u:{DB}@h/d", log_format="json"
    )


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(settings: Settings, log: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    configure_logging(settings, "worker", stream)
    log()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_event_its_values_and_the_service(settings: Settings) -> None:
    [line] = lines(settings, lambda: structlog.get_logger().info("job_started", job="job-1", run=2))
    assert line["event"] == "job_started"
    assert (line["job"], line["run"], line["service"], line["level"]) == ("job-1", 2, "worker", "info")
    assert line["timestamp"].endswith("Z")


def test_a_port_is_no_password(settings: Settings) -> None:
    [line] = lines(settings, lambda: structlog.get_logger().info("listening", url="http://127.0.0.1:18791/x"))
    assert line["url"] == "http://127.0.0.1:18791/x"


def test_secrets_are_hidden_by_value_name_and_shape(settings: Settings) -> None:
    def log() -> None:
        logger = structlog.get_logger()
        logger.info("called", url=f"https://api.telegram.org/bot{BOT}/sendMessage", header=f"Bearer {KIE}")
        logger.info("other", url="https://api.telegram.org/bot999:OTHERSECRET/getMe", api_key="SECRETkey")
        logger.info("nested", data={"headers": {"Authorization": "Basic abcSECRET"}, "list": [f"x {KIE} y"]})
        logger.info("connected", to=f"postgresql://user:{DB}@host/db")
        logging.getLogger("aiogram").warning("failed %s", f"/bot{BOT}/getMe")
        logging.getLogger("lib").warning("odd", extra={"authorization": "SECRET"})
        try:
            raise RuntimeError(f"no answer from /bot{BOT}/getFile")
        except RuntimeError:
            logger.exception("download_failed")

    found = lines(settings, log)
    assert len(found) == 7
    assert "SECRET" not in json.dumps(found)
    assert "RuntimeError" in found[-1]["exception"]
    assert found[0]["url"] == "https://api.telegram.org/bot[hidden]/sendMessage"
    assert found[3]["to"] == "postgresql://user:[hidden]@host/db"


def test_the_console_form_hides_secrets_too(settings: Settings) -> None:
    stream = io.StringIO()
    configure_logging(settings.model_copy(update={"log_format": "console"}), "bot", stream)
    structlog.get_logger().warning("called", key=KIE)
    assert "called" in stream.getvalue() and "SECRET" not in stream.getvalue()


def test_the_level_holds_for_ours_and_for_libraries(settings: Settings) -> None:
    quiet = settings.model_copy(update={"log_level": "warning"})

    def log() -> None:
        structlog.get_logger().info("unimportant")
        logging.getLogger("aiogram").info("unimportant")
        structlog.get_logger().warning("important")

    assert [line["event"] for line in lines(quiet, log)] == ["important"]


def test_a_pool_that_finds_no_server_is_not_repeated_each_second(settings: Settings) -> None:
    out = io.StringIO()
    configure_logging(settings, "relay", out)
    logging.getLogger("asyncpg.pool").warning("Failed to restore the pool connection floor", exc_info=True)
    assert out.getvalue() == ""


def test_huge_and_binary_values_are_cut(settings: Settings) -> None:
    [line] = lines(settings, lambda: structlog.get_logger().info("got", body="x" * 100_000, raw=b"\x00" * 10))
    assert len(line["body"]) < 25_000
    assert line["raw"] == "<10 bytes>"


def test_every_secret_setting_and_every_servers_password_is_hidden_by_its_value() -> None:
    planted = {
        field: {"bot_token": f"12345678:planted-{field}", "bot_webhook_secret": f"planted-{field}"}.get(
            field, f"https://planted-{field}:1"
        )
        for field, info in Settings.model_fields.items()
        if "SecretStr" in str(info.annotation)
    }
    assert len(planted) >= 8
    passwords = {
        f"{name}_url": f"{scheme}://user:planted%40{name}@host/1"
        for name, scheme in (
            ("database", "postgresql"),
            ("audit_database", "postgresql"),
            ("redis", "redis"),
            ("smtp", "smtps"),
        )
    }
    settings = load_settings(**planted, **passwords, yookassa_shop_id="1", log_format="json")
    values = [*planted.values(), *(f"planted@{name.removesuffix('_url')}" for name in passwords)]
    found = lines(settings, lambda: [structlog.get_logger().info("said", words=value) for value in values])
    assert [line["words"] for line in found] == ["[hidden]"] * len(values)


def test_what_belongs_to_a_batch_is_not_told_of_whoever_asked_first(settings: Settings) -> None:
    async def answer_all(questions: Sequence[int]) -> list[int]:
        structlog.get_logger().info("asked", questions=len(questions))
        return list(questions)

    async def ask() -> None:
        with structlog.contextvars.bound_contextvars(job="j1"):
            await Batcher(answer_all).ask(1)
            structlog.get_logger().info("answered")

    found = lines(settings, lambda: asyncio.run(ask()))
    assert [(line["event"], line.get("job")) for line in found] == [("asked", None), ("answered", "j1")]
