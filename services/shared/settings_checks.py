"""What a single setting has to look like, whatever the others are; the fields are in settings_fields.py."""

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings

_HTTP_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_PROXY_URL = re.compile(r"https?://([^\s/?#@]+@)?[^\s/?#@:]+(:\d{1,5})?/?")
_BOT_TOKEN = re.compile(r"\d{3,20}:[A-Za-z0-9_-]{5,100}")


def _readable(url: str | None, example: str) -> str | None:
    """The address, if it can be one. What is wrong is not shown: it may be part of a password."""
    try:
        for host in urlsplit(url or "").netloc.rpartition("@")[2].split(","):
            name, _ = urlsplit(f"//{host}").hostname or "", urlsplit(f"//{host}").port
            if not unquote(name).startswith("/"):
                name.encode("idna")
    except ValueError:
        odd = "what is odd in a password (@ / ? #) is written as %40 %2F %3F %23"
        raise ValueError(f"must look like {example}; {odd}") from None
    return url


class SettingsChecks(BaseSettings):
    """Checks of fields that the subclass has."""

    @field_validator("kie_api_keys", "kie_result_hosts", "forget_secret", mode="before", check_fields=False)
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return (
            [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
        )

    @field_validator("log_level", "log_format", "moderation", mode="before", check_fields=False)
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("bot_token", check_fields=False)
    @classmethod
    def _bot_token_shape(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _BOT_TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("must look like 123456789:AAE… as @BotFather gives it")
        return value

    @field_validator("openai_proxy", check_fields=False)
    @classmethod
    def _http_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _PROXY_URL.fullmatch(value.get_secret_value()):
            raise ValueError(
                "must look like http://user:password@host:port (http or https; SOCKS is not spoken)"
            )
        return value

    @field_validator("database_url", "audit_database_url", check_fields=False)
    @classmethod
    def _postgres_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("must begin with postgresql://")
        return _readable(value, "postgresql://user:password@host:5432/name")

    @field_validator("redis_url", check_fields=False)
    @classmethod
    def _redis_url(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must begin with redis://, rediss:// or unix://")
        return _readable(value, "redis://user:password@host:6379/0")

    @field_validator(
        "telegram_api_url", "kie_api_url", "kie_upload_url", "openai_base_url",
        "yookassa_api_url", "public_url", "sandbox_url", "otel_exporter_otlp_endpoint", check_fields=False,
    )  # fmt: skip
    @classmethod
    def _http_url(cls, value: str | None) -> str | None:
        if value is not None and not _HTTP_URL.fullmatch(value):
            raise ValueError("must be an address like https://example.com, without query or spaces")
        return value.rstrip("/") if value else None
