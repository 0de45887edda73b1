"""Settings fields, defaults, limits and consistency; source of `.env.example`."""

from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.platform.settings_types import (
    FOLDER,
    YOOKASSA_PUBLISHED_NETWORKS,
    AnyCase,
    BotMode,
    BotToken,
    Commas,
    Days,
    FormerUrl,
    MailAddress,
    Mode,
    NotesBucket,
    Port,
    PostgresUrl,
    ProxyUrl,
    RedisUrl,
    S3Key,
    S3Keys,
    S3Url,
    SafeUrl,
    SmtpUrl,
    Subject,
    TrustedProxy,
    Url,
    WebhookSecrets,
    networks,
)

PAYMENT_GIVE_UP_S: Final = 7 * 86_400.0
"""So long a payment is asked about. Money that comes later is found by the comparison, and credited."""


class SettingsFields(BaseSettings, defer_build=True):
    """All settings; environment names are field names in capitals, or the alias."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    # Storage
    database_url: PostgresUrl | None = Field(
        None, repr=False, description="Postgres, postgresql://…; empty: `neurocards up` starts its own"
    )
    database_owner_url: PostgresUrl | None = Field(
        None, repr=False, description="For migrate, replay and backup: as its owner; empty: DATABASE_URL"
    )
    database_direct_url: PostgresUrl | None = Field(
        None, repr=False, description="Past PgBouncer, for LISTEN and the bot's turn; empty: DATABASE_URL"
    )
    audit_database_url: PostgresUrl | None = Field(
        None, repr=False, description="What `neurocards ledger …` reads, e.g. a replica; empty: DATABASE_URL"
    )
    redis_url: RedisUrl | None = Field(
        None,
        repr=False,
        description="redis://…, or redis+sentinel://h1,h2,h3/NAME; empty: `up` starts its own",
    )
    data_dir: Path = Field(
        Path(".neurocards"),
        validation_alias="NEUROCARDS_DATA_DIR",
        description="Folder of everything kept on this machine: databases, blobs, logs, the sandbox's memory",
    )
    blobs_url: S3Url | None = Field(
        None, description="Photos and videos, s3://bucket/prefix?endpoint=…&region=…; empty: a folder"
    )
    blobs_former_url: FormerUrl | None = Field(None, description="Where they were: s3://… or `folder`")
    blobs_key: S3Keys = Field(
        (), description="ID:SECRET, for who writes; after a comma the former bucket's; empty: a role"
    )
    blobs_read_key: S3Keys = Field((), description="The same for web and notifier, which only read")
    secrets_dir: Path | None = Field(
        None,
        description="Folder with a file per secret (bot_token, kie_api_keys, …), as containers have it; the "
        "environment and .env win. Set in the environment alone",
    )
    backup_dir: Path | None = Field(
        None,
        description="Folder of backups and archived WAL, best on another disk; empty: backups in "
        "NEUROCARDS_DATA_DIR",
    )

    commit: str = Field(
        "",
        pattern="^([0-9a-f]{40,64})?$",
        validation_alias="NEUROCARDS_COMMIT",
        description="Commit the code is from, told by the image; empty: the clone's",
    )

    # Companies: keys, and addresses other than their own
    bot_token: BotToken | None = Field(None, description="Telegram bot token from @BotFather; empty: sandbox")
    kie_api_keys: Annotated[tuple[SecretStr, ...], Commas] = Field(
        (), description="KIE.AI keys, separated by commas, used in turn; empty: sandbox"
    )
    kie_api_keys_retiring: Annotated[tuple[SecretStr, ...], Commas] = Field(
        (), description="Keys on their way out: they fetch the videos they began and begin none"
    )
    openai_api_key: SecretStr | None = Field(None, description="OpenAI key for prompts; empty: sandbox")
    yookassa_shop_id: str | None = Field(None, description="YooKassa shop; empty: sandbox")
    yookassa_secret_key: SecretStr | None = Field(None, description="YooKassa secret key; empty: sandbox")
    bot_mode: BotMode = Field("polling", description="polling, webhook: who brings updates, bot or Telegram")
    bot_webhook_secret: WebhookSecrets = Field((), description="Telegram shows the first, all are taken")
    telegram_api_url: Url | None = Field(None, description="Empty: https://api.telegram.org, or the sandbox")
    kie_api_url: Url | None = Field(None, description="Empty: https://api.kie.ai, or the sandbox")
    kie_upload_url: Url | None = Field(None, description="Empty: https://kieai.redpandaai.co, or the sandbox")
    openai_base_url: Url | None = Field(None, description="Empty: https://api.openai.com/v1, or the sandbox")
    yookassa_api_url: Url | None = Field(None, description="Empty: https://api.yookassa.ru/v3, or sandbox")

    # Processes: where they listen, what they are called, what they say
    public_url: Url | None = Field(
        None, description="Where webhooks and callbacks reach the web process; empty: its own address"
    )
    web_host: str = Field("127.0.0.1", description="Address the web process listens on")
    web_port: Port = Field(8080, description="Port of the web process; 0: any free one")
    web_proxies: int | None = Field(
        None,
        ge=0,
        le=10,
        description="Reverse proxies of ours before the web process, each adding to X-Forwarded-For; "
        "empty: 0, or 1 with YooKassa's sandbox",
    )
    dashboard_host: str = Field("127.0.0.1", description="Address the dashboard listens on")
    dashboard_port: Port = Field(8090, description="Port of the dashboard; 0: any free one")
    dashboard_url: SafeUrl | None = Field(None, description="Its address for browsers; empty: its own")
    dashboard_trusted_proxy: TrustedProxy = Field(
        "", description="Proxy before it: its address, and the header, if any, in which it names the user"
    )
    dashboard_open_links: bool = Field(False, description="true: one-time links alone let in; for sandboxes")
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
    log_level: Annotated[Literal["debug", "info", "warning", "error"], AnyCase] = Field(
        "info", description="debug, info, warning, error"
    )
    log_format: Annotated[Literal["console", "json"], AnyCase] = Field("console", description="console, json")
    otel_exporter_otlp_endpoint: Url | None = Field(
        None, description="Collector of traces, OTLP over HTTP, e.g. http://127.0.0.1:4318; empty: no traces"
    )
    otel_exporter_otlp_headers: SecretStr | None = Field(
        None, description="Headers for the collector, name=value separated by commas, e.g. its key"
    )
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="Share of jobs that are traced")

    # Secrets of our own, and who may give commands
    callback_secret: Annotated[tuple[Annotated[SecretStr, Field(min_length=16)], ...], Commas] = Field(
        (),
        description="Secret in callback addresses and links to videos; the first signs, others after commas "
        "are taken; needed with a real BOT_TOKEN or KIE_API_KEYS",
    )
    kie_webhook_hmac_key: Annotated[tuple[SecretStr, ...], Commas] = Field(
        (), description="Keys from kie.ai/settings that sign callbacks; when set, other calls are refused"
    )
    forget_secret: Annotated[tuple[Annotated[SecretStr, Field(min_length=16)], ...], Commas] = Field(
        (),
        description="Secret under which erased people are remembered, of its own and never lost; the newest "
        "first, older ones after commas for look-ups; needed with a real BOT_TOKEN",
    )
    telegram_messages_per_second: float = Field(
        0, ge=0, le=1000, description="Messages to all chats together; 0: 25, and 500 in the sandbox"
    )
    admin_ids: Annotated[tuple[int, ...], Commas] = Field(
        (),
        description="Telegram ids, separated by commas, of who may use the admin commands (/grant …) "
        "in the chat; events name their account",
    )

    read_reason: str = Field("", description="Why a person's data is looked at, as `ledger reads` shows it")

    # The sandbox
    sandbox_host: str = Field("127.0.0.1", description="Address the sandbox listens on")
    sandbox_port: Port = Field(8081, description="Port of the sandbox; 0: any free one")
    sandbox_url: Url | None = Field(None, description="Where others reach it; empty: its own address")
    sandbox_render_seconds: float = Field(6, ge=0, le=3600, description="How long it renders a video")

    # OpenAI: prompts and moderation
    openai_model: str = Field("gpt-6-luna", min_length=1, description="The model that writes prompts")
    openai_moderation_model: str = Field(
        "omni-moderation-latest", min_length=1, description="The model that judges texts and photos"
    )
    openai_proxy: ProxyUrl | None = Field(
        None, description="HTTP proxy for OpenAI, http://user:password@host:port; empty: straight"
    )
    openai_timeout_seconds: float = Field(
        25, gt=0, le=300, description="How long OpenAI may take to write a prompt; there is one retry"
    )
    prompt_fallback_share_max: float = Field(
        0.2, ge=0, le=1, description="Share of prompts without OpenAI within an hour that alerts"
    )
    moderation: Annotated[Literal["off", "text", "all"], AnyCase] = Field(
        "all", description="What OpenAI judges before an order is charged: off, text, all (text and photo)"
    )

    # Jobs
    job_deadline_seconds: float = Field(
        900, ge=1, le=86_400, description="A job with no video by then is failed and its credit returned"
    )
    draft_keep_seconds: float = Field(
        86_400, ge=3600, description="How long an order not placed is kept with photo and words"
    )
    photo_bytes_per_day: int = Field(200_000_000, ge=20_000_000, description="Photos of one person and day")
    refund_life_seconds: int = Field(
        604_800, ge=60, le=31_536_000, description="New life of returned credits whose own has ended"
    )
    lease_seconds: float = Field(30, ge=0.5, le=3600, description="A worker silent so long loses its jobs")
    worker_slots: int = Field(200, ge=1, le=10_000, description="How many jobs one worker holds at once")
    user_in_flight_max: int = Field(20, ge=1, le=10_000, description="Videos of one user rendered at once")
    retry_base_seconds: float = Field(
        4, gt=0, le=600, description="Pause before a submission's first retry, doubling, random around it"
    )

    # KIE and its models
    kie_poll_seconds: float | None = Field(
        None, gt=0, le=60, description="First pause between two looks at a task; empty: 5, sandbox 0.5"
    )
    kie_creations_per_10_s: int = Field(20, ge=1, le=100_000, description="Tasks of an account within 10 s")
    kie_accounts: int | None = Field(
        None, ge=1, description="Number of keys in KIE_API_KEYS, for the bot, which has none; empty: counted"
    )
    kie_rest_seconds: float | None = Field(
        None,
        gt=0,
        description="First rest of a KIE key without credits or rights, doubling up to 10 minutes; "
        "empty: 15, or 1 in the sandbox",
    )
    kie_result_hosts: Annotated[tuple[str, ...], Commas] = Field(
        (), description="Hosts videos may be fetched from, with those below them; empty: any public host"
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

    # The log: streams, checkpoints, verification
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
        "keys/checkpoint.key in NEUROCARDS_DATA_DIR, if it is there",
    )
    checkpoint_dir: Path | None = Field(
        None,
        description="Folder that checkpoints are written to, for the auditor to keep elsewhere; empty: "
        "checkpoints in NEUROCARDS_DATA_DIR",
    )
    checkpoint_every_seconds: float = Field(
        3600, ge=0, description="How often a checkpoint is made when there is a key; 0: never"
    )
    notes_chat_id: int | None = Field(
        None, description="Id of a Telegram chat or channel that signed notes are sent to"
    )
    alerts_chat_id: int | None = Field(None, description="Id of the Telegram chat that gets the alerts")
    alerts_locale: Annotated[Literal["ru", "en"], AnyCase] = Field("ru", description="Their language: ru, en")
    notes_mail_to: Annotated[tuple[MailAddress, ...], Commas] = Field(
        (), description="Addresses, separated by commas, that signed notes are mailed to; needs SMTP_URL"
    )
    notes_bucket: NotesBucket | None = Field(
        None, description="Bucket with Object Lock for signed notes, s3://…?endpoint=…&region=…&days=3650"
    )
    notes_bucket_key: S3Key | None = Field(None, description="Its access key, ID:SECRET, which may lock")
    smtp_url: SmtpUrl | None = Field(
        None, repr=False, description="Mail server, smtps://user:password@host:465, or smtp:// for STARTTLS"
    )
    verify_every_seconds: float = Field(300, ge=0, description="How often what is new is verified; 0: never")
    verify_whole_every_seconds: float = Field(
        86_400, ge=60, description="How often the whole log is verified at least; oftener while it is small"
    )
    drill_every_seconds: float = Field(
        604_800, ge=0, description="How often the newest backup is restored on trial; 0: never"
    )

    # Retention, kept by maintenance
    orders_keep_days: Days = Field(30, description="Draft, photo and words of an order, after its jobs' end")
    videos_keep_days: Days = Field(180, description="Videos; sellers have theirs in their chats")
    contacts_keep_days: Days = Field(365, description="Where receipts went, and requests to who takes money")
    deliveries_keep_days: Days = Field(400, ge=30, description="What chats were told")
    words_keep_days: Days = Field(90, description="What companies said where something failed")
    reads_keep_days: Days = Field(400, ge=90, description="Who looked at whose data, verifications")

    # Credits and the chat
    free_credits: int = Field(2, ge=0, le=1000, description="Credits a new seller is given once")
    welcome_cap_per_day: int = Field(0, ge=0, description="Such gifts in credits a day (UTC); 0: no cap")
    cost_cap_per_day: int = Field(0, ge=0, description="KIE credits that a day (UTC) may cost; 0: no cap")
    approval_credits_min: int = Field(1000, ge=0, description="Credits a user moves alone a day; 0: any")
    referral_after: Literal["purchase", "video"] = Field(
        "purchase", description="purchase, video: what of an invited friend brings both sides their bonus"
    )
    referral_credits: int = Field(2, ge=0, le=1000, description="Bonus for who invited; 0: none")
    referred_credits: int = Field(2, ge=0, le=1000, description="Bonus for the invited friend; 0: none")
    reminders: bool = Field(
        True, description="Remind sellers of credits that end and of an order left at its card"
    )
    reminders_utc_offset: int = Field(3, ge=-11, le=14, description="By day there: hours from UTC; 3: Moscow")
    support_contact: str = Field("@neurocards_support", description="Whom the chat's support button names")
    margin_rates: str = Field(
        "",
        pattern=r"^([A-Z]{3}=\d+(\.\d+)?(,|$))*$",
        description="For the margin in `neurocards stats daily`: what one of each is worth in a currency of "
        "your choice, which is 1 itself, with KIE for a credit of the video provider, e.g. "
        "RUB=1,XTR=1.2,KIE=0.45; empty: no margin is shown",
    )

    # Money
    payment_packages_file: Path | None = Field(
        None, description="What is sold, as services/payments/packages.toml; empty: that file"
    )
    payment_return_url: str | None = Field(
        None, pattern=r"^https?://\S{1,500}$", description="Where payers return; empty: to the bot's chat"
    )
    yookassa_receipts: bool = Field(
        False, description="true: YooKassa sends receipts (54-FZ), and buyers are asked where to"
    )
    yookassa_vat_code: int = Field(1, ge=1, le=12, description="VAT in receipts, YooKassa's code; 1: without")
    yookassa_tax_system: int | None = Field(
        None, ge=1, le=6, description="Tax system in receipts, YooKassa's code; empty: the register's"
    )
    yookassa_payment_subject: Subject = Field("service", description="What a receipt says was sold")
    yookassa_payment_mode: Mode = Field("full_payment", description="How a receipt says it was paid")
    yookassa_connect_seconds: float = Field(
        5, gt=0, le=60, description="How long connecting to YooKassa may take"
    )
    yookassa_read_seconds: float = Field(
        35, gt=0, le=300, description="How long YooKassa may take to answer; its own limit is 30"
    )
    yookassa_threads: int = Field(16, ge=2, le=256, description="Calls of YooKassa at once in one process")
    yookassa_sources: Annotated[tuple[str, ...], Commas, AfterValidator(networks)] = Field(
        YOOKASSA_PUBLISHED_NETWORKS, description="Networks YooKassa notifies from; empty: those it publishes"
    )
    payments_compare_seconds: float = Field(
        86_400, ge=0, description="How often the provider's book is compared with the ledger; 0: never"
    )
    payments_compare_days: int = Field(
        14,
        ge=1,
        le=366,
        description="How many days back payments and refunds are compared: more than the 7 that a payment "
        "is asked about, and the time between two comparisons",
    )

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
        if self.kie_api_keys_retiring and not self.kie_api_keys:
            raise ValueError("KIE_API_KEYS: must be set too; keys of KIE_API_KEYS_RETIRING begin no video")
        if set(self.kie_api_keys) & set(self.kie_api_keys_retiring):
            raise ValueError("KIE_API_KEYS_RETIRING: has a key that KIE_API_KEYS has too; take it out of one")
        if self.notes_mail_to and not self.smtp_url:
            raise ValueError("SMTP_URL: must be set too; NOTES_MAIL_TO needs it")
        if self.blobs_former_url == (self.blobs_url or FOLDER):
            raise ValueError("BLOBS_FORMER_URL: is where BLOBS_URL leads, too; take it out")
        if self.notes_bucket and not self.notes_bucket_key:
            raise ValueError("NOTES_BUCKET_KEY: must be set too; NOTES_BUCKET needs it")
        seen_s = self.payments_compare_days * 86_400.0
        if seen_s <= PAYMENT_GIVE_UP_S + self.payments_compare_seconds:
            raise ValueError(
                f"PAYMENTS_COMPARE_DAYS: {self.payments_compare_days} must be more than the "
                f"{PAYMENT_GIVE_UP_S / 86_400:g} days that a payment is asked about and "
                "PAYMENTS_COMPARE_SECONDS together, or nobody would find money that came at the very end"
            )
        return self
