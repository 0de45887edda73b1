"""The settings themselves: names, meanings, defaults, limits, and what must fit together.

Services use `Settings` in settings.py, which adds what follows from them. `.env.example` is made from here.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

# What a single setting has to look like, whatever the others are; the fields are in settings_fields.py.


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


Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsFields(SettingsChecks):
    """All settings. Names in the environment are the fields' names in capitals, or the alias."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    database_url: str | None = Field(
        None, repr=False, description="Postgres, postgresql://…; empty: `neurocards up` starts its own"
    )
    audit_database_url: str | None = Field(
        None,
        repr=False,
        description="Postgres that `neurocards ledger …` reads, e.g. a replica; empty: DATABASE_URL",
    )
    redis_url: str | None = Field(
        None, repr=False, description="Redis or Valkey, redis://…; empty: `neurocards up` starts its own"
    )
    data_dir: Path = Field(
        Path(".neurocards"),
        validation_alias="NEUROCARDS_DATA_DIR",
        description="Folder of everything kept on this machine: databases, blobs, logs, the sandbox's memory",
    )

    backup_dir: Path | None = Field(
        None,
        description="Folder of backups and archived WAL, best on another disk; empty: backups in "
        "NEUROCARDS_DATA_DIR",
    )

    bot_token: SecretStr | None = Field(
        None, description="Telegram bot token from @BotFather; empty: sandbox"
    )
    kie_api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="KIE.AI keys, separated by commas, used in turn; empty: sandbox"
    )
    openai_api_key: SecretStr | None = Field(
        None, description="OpenAI key for writing prompts; empty: sandbox"
    )
    openai_model: str = Field("gpt-6-luna", min_length=1, description="The model that writes prompts")
    openai_moderation_model: str = Field(
        "omni-moderation-latest", min_length=1, description="The model that judges texts and photos"
    )
    openai_proxy: SecretStr | None = Field(
        None, description="HTTP proxy for OpenAI, http://user:password@host:port; empty: straight"
    )
    openai_timeout_seconds: float = Field(
        25, gt=0, le=300, description="How long OpenAI may take to write a prompt; there is one retry"
    )
    prompt_fallback_share_max: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Share of prompts written without OpenAI within an hour, above which there is an alert",
    )
    moderation: Literal["off", "text", "all"] = Field(
        "all", description="What OpenAI judges before an order is charged: off, text, all (text and photo)"
    )
    yookassa_shop_id: str | None = Field(None, description="YooKassa shop; empty: sandbox")
    yookassa_secret_key: SecretStr | None = Field(None, description="YooKassa secret key; empty: sandbox")

    telegram_api_url: str | None = Field(None, description="Empty: https://api.telegram.org, or the sandbox")
    kie_api_url: str | None = Field(None, description="Empty: https://api.kie.ai, or the sandbox")
    kie_upload_url: str | None = Field(None, description="Empty: https://kieai.redpandaai.co, or the sandbox")
    openai_base_url: str | None = Field(None, description="Empty: https://api.openai.com/v1, or the sandbox")
    yookassa_api_url: str | None = Field(
        None, description="Empty: https://api.yookassa.ru/v3, or the sandbox"
    )

    public_url: str | None = Field(
        None,
        description="Where the outside reaches our web process (webhooks, callbacks); empty: its own address",
    )
    web_host: str = Field("127.0.0.1", description="Address the web process listens on")
    web_port: Port = Field(8080, description="Port of the web process; 0: any free one")
    callback_secret: SecretStr | None = Field(
        None, min_length=16, description="Secret in callback addresses; empty: derived from the KIE keys"
    )
    kie_webhook_hmac_key: SecretStr | None = Field(
        None, description="Key from kie.ai/settings that signs callbacks; when set, others are refused"
    )
    forget_secret: Annotated[tuple[Annotated[SecretStr, Field(min_length=16)], ...], NoDecode] = Field(
        (),
        description="Secret under which erased people are remembered, of its own and never lost; the newest "
        "first, older ones after commas for look-ups; needed with a real BOT_TOKEN",
    )
    health_host: str = Field("127.0.0.1", description="Address of each process's health and metrics server")
    health_port: Port | None = Field(None, description="Its port; 0: any free one; empty: no such server")
    ready_file: Path | None = Field(
        None, description="A file each process writes its pid and health address to; set by `neurocards up`"
    )

    instance_name: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,60}$",
        description="This process's name among its kind, the same after a restart; empty: the host's name",
    )

    sandbox_host: str = Field("127.0.0.1", description="Address the sandbox listens on")
    sandbox_port: Port = Field(8081, description="Port of the sandbox; 0: any free one")
    sandbox_url: str | None = Field(
        None, description="Where others reach the sandbox; empty: its own address"
    )
    sandbox_render_seconds: float = Field(
        6, ge=0, le=3600, description="How long the sandbox renders a video"
    )

    job_deadline_seconds: float = Field(
        900, ge=1, le=86_400, description="A job with no video by then is failed and its credit returned"
    )
    draft_keep_seconds: float = Field(
        86_400,
        ge=3600,
        description="How long an order that is not placed is kept, with its photo and words, untouched",
    )
    refund_life_seconds: int = Field(
        604_800,
        ge=60,
        le=31_536_000,
        description="New life of returned credits whose own has ended meanwhile",
    )
    lease_seconds: float = Field(
        30, ge=0.5, le=3600, description="A worker silent for so long loses its jobs to others"
    )
    worker_slots: int = Field(200, ge=1, le=10_000, description="How many jobs one worker holds at once")
    kie_poll_seconds: float | None = Field(
        None,
        gt=0,
        le=60,
        description="First pause between two looks at a task, later thrice as long; empty: 5, sandbox 0.5",
    )
    kie_creations_per_10_s: int = Field(
        20, ge=1, le=100_000, description="Tasks KIE lets one account create in 10 seconds"
    )
    kie_rest_seconds: float | None = Field(
        None,
        gt=0,
        description="First rest of a KIE key without credits or rights, doubling up to 10 minutes; "
        "empty: 15, or 1 in the sandbox",
    )
    model_failures_max: int = Field(
        5,
        ge=1,
        le=10_000,
        description="Sellers whose submissions end in the provider's trouble, without a video in between, "
        "until their model rests; each counts once",
    )
    model_rest_seconds: float | None = Field(
        None,
        gt=0,
        le=900,
        description="First rest of a model that is paused or failing, doubling up to 15 minutes; then it is "
        "tried; empty: 60, or 2 in the sandbox",
    )
    user_in_flight_max: int = Field(
        20, ge=1, le=10_000, description="Videos of one user that are rendered at the same time"
    )
    kie_result_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Hosts videos may be fetched from, with those below them; empty: any public host"
    )
    retry_base_seconds: float = Field(
        4,
        gt=0,
        le=600,
        description="Pause before the first retry of a submission, doubling; the real one is random",
    )
    stream_entries_max: int = Field(
        100_000, ge=1000, description="Events kept in the Redis stream; who needs older ones reads Postgres"
    )
    stream_recover_events: int = Field(
        10_000, ge=0, description="Events published again, at most, after Redis has lost everything"
    )
    log_name: str | None = Field(
        None,
        pattern=r"^[^\s+]{1,200}$",
        description="The log's name in signed checkpoints, e.g. example.com/credits; empty: as in the key",
    )
    checkpoint_key_file: Path | None = Field(
        None,
        description="Private key that signs checkpoints, made by `neurocards ledger keygen`; empty: "
        "checkpoint.key in NEUROCARDS_DATA_DIR, if it is there",
    )
    checkpoint_dir: Path | None = Field(
        None,
        description="Folder that checkpoints are written to, for the auditor to keep elsewhere; empty: "
        "checkpoints in NEUROCARDS_DATA_DIR",
    )
    checkpoint_every_seconds: float = Field(
        3600, ge=0, description="How often the monitor makes a checkpoint when there is a key; 0: never"
    )
    verify_every_seconds: float = Field(
        300, ge=0, description="How often the monitor verifies what came into the log since; 0: never"
    )
    verify_whole_every_seconds: float = Field(
        86_400, ge=60, description="How often it verifies the whole log, and everything made of it"
    )
    margin_rates: str = Field(
        "",
        pattern=r"^([A-Z]{3}=\d+(\.\d+)?(,|$))*$",
        description="For the margin in `neurocards stats daily`: what one of each is worth in a currency of "
        "your choice, which is 1 itself, with KIE for a credit of the video provider, e.g. "
        "RUB=1,XTR=1.2,KIE=0.45; empty: no margin is shown",
    )
    free_credits: int = Field(2, ge=0, le=1000, description="Credits a new seller is given once")
    support_contact: str = Field("@neurocards_support", description="Whom the chat's support button names")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="debug, info, warning, error"
    )
    log_format: Literal["console", "json"] = Field("console", description="console or json")

    @model_validator(mode="after")
    def _across_fields(self) -> Self:
        if self.lease_seconds >= self.job_deadline_seconds:
            raise ValueError(
                f"LEASE_SECONDS: {self.lease_seconds:g} must be less than JOB_DEADLINE_SECONDS, "
                f"{self.job_deadline_seconds:g}, or no other worker could take over in time"
            )
        if (self.yookassa_shop_id is None) != (self.yookassa_secret_key is None):
            missing = "YOOKASSA_SHOP_ID" if self.yookassa_shop_id is None else "YOOKASSA_SECRET_KEY"
            raise ValueError(f"{missing}: must be set too; YooKassa needs both the shop and its secret key")
        return self
