"""Logging of every process: structlog on stderr, secrets redacted.

Readable or JSON lines. The libraries' own logs go the same way: a bot token is part of every Telegram URL,
and an exception's text carries URLs and headers.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from pydantic import SecretStr

from services.platform.settings import Settings

_HIDDEN = "[hidden]"
_SECRET_NAME = re.compile(r"(?i)token$|secret|password|authorization|api_?keys?$|(?:^|_)url_key$")
_SECRET_TEXT = re.compile(
    r"(?P<before>/bot|://[^/\s:@]*:(?=[^\s/@'\"]+@)|(?i:bearer|basic)\s+)"  # path, URL, header
    r"(?P<secret>[^\s/@'\"]{3,})(?P<after>(?=[/@\s'\"])|$)"
)
_MAX_TEXT = 20_000
_QUIET = {
    "httpx": "warning",
    "httpx2": "warning",
    "httpcore": "warning",
    "aiohttp.access": "warning",
    "urllib3": "warning",
    "asyncio": "warning",
    "asyncpg.pool": "error",  # a traceback each second while Postgres is away, which others say in a line
    "PIL": "info",
}


def configure_logging(settings: Settings, service: str, stream: TextIO | None = None) -> None:
    out = stream if stream is not None else sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        lambda _, method, event: {"service": service, **event},
        _with_trace,
        Redaction(secret_values(settings)),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(max(logging.getLevelName(level.upper()), root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def secret_values(settings: Settings) -> list[str]:
    """Secrets in the settings, longest first: one may contain another."""
    found: set[str] = set()
    for field in type(settings).model_fields:
        value = getattr(settings, field)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, SecretStr):
                found.add(item.get_secret_value())
    databases = (settings.database_url, settings.database_direct_url, settings.audit_database_url)
    for url in (*databases, settings.redis_url, settings.smtp_url):
        parts = urlsplit(url or "")
        for password in (parts.password, *parse_qs(parts.query).get("sentinel_password", ())):
            found |= {password, unquote(password)} if password else set()
    return sorted((value for value in found if len(value) >= 4), key=len, reverse=True)


class Redaction:
    """structlog processor that hides secrets by value, name and shape."""

    def __init__(self, secrets: list[str]) -> None:
        self._values = re.compile("|".join(map(re.escape, secrets))) if secrets else None

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for key, value in event.items():
            if not key.startswith("_"):
                event[key] = self._clean(key, value)
        return event

    def _clean(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            return _HIDDEN if value and _SECRET_NAME.search(name) else self.text(value)
        if isinstance(value, bytes):
            return f"<{len(value)} bytes>"
        if isinstance(value, Mapping):
            return {key: self._clean(str(key), item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(name, item) for item in value]
        if isinstance(value, bool | int | float) or value is None:
            return value
        return self.text(str(value))

    def text(self, value: str) -> str:
        if len(value) > _MAX_TEXT:
            value = f"{value[:_MAX_TEXT]}… ({len(value)} characters)"
        if self._values is not None:
            value = self._values.sub(_HIDDEN, value)
        return _SECRET_TEXT.sub(lambda match: f"{match['before']}{_HIDDEN}", value)


def _with_trace(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if tracing := sys.modules.get(
        "services.platform.tracing"
    ):  # else nothing is traced, and a command is quicker
        event.update(tracing.current_ids())
    return event
