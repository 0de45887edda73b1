"""Types of settings: what they are split, folded and checked by."""

import ipaddress
import re
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

_HTTP_URL: Final = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")
_PROXY_URL: Final = re.compile(r"https?://([^\s/?#@]+@)?[^\s/?#@:]+(:\d{1,5})?/?")
_WEBHOOK_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")
_BOT_TOKEN: Final = re.compile(r"\d{3,20}:[A-Za-z0-9_-]{5,100}")

FOLDER: Final = "folder"
_SENTINELS: Final = "redis+sentinel://:password@host,host,host/NAME/0"


def _split(value: Any) -> Any:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _bot_token(value: SecretStr) -> SecretStr:
    if not _BOT_TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError("must look like 123456789:AAE… as @BotFather gives it")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    if not _WEBHOOK_SECRET.fullmatch(value.get_secret_value()):
        raise ValueError("must be 16 to 256 of A-Z, a-z, 0-9, _ and -: `openssl rand -hex 32`")
    return value


def _proxy_url(value: SecretStr) -> SecretStr:
    if not _PROXY_URL.fullmatch(value.get_secret_value()):
        raise ValueError("must look like http://user:password@host:port (http or https; SOCKS is not spoken)")
    return value


def _smtp_url(value: str) -> str:
    if not value.startswith(("smtps://", "smtp://")) or not urlsplit(value).hostname:
        raise ValueError("must begin with smtps://, or smtp:// for STARTTLS, and name a host")
    return _readable(value, "smtps://user:password@host:465")


def _http_url(value: str) -> str:
    if not _HTTP_URL.fullmatch(value):
        raise ValueError("must be an address like https://example.com, without query or spaces")
    return value.rstrip("/")


def _safe_url(value: str) -> str:
    if not re.match(r"https://|http://(localhost|127\.[0-9.]+|\[::1\])(:|$)", value):
        raise ValueError("must be https://…, as passwords go there; http:// on this machine alone")
    return value


def _postgres_url(value: str) -> str:
    if not value.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return _readable(value, "postgresql://user:password@host:5432/name")


def _redis_url(value: str) -> str:
    if value.startswith(("redis+sentinel://", "rediss+sentinel://")):
        if not re.fullmatch(r"/[^/]+(/\d+)?/?", urlsplit(value).path):
            raise ValueError(f"must look like {_SENTINELS}, NAME as in `sentinel monitor NAME`")
        return _readable(value, _SENTINELS)
    if not value.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(f"must begin with redis://, rediss:// or unix://, or look like {_SENTINELS}")
    if "," in urlsplit(value).netloc.rpartition("@")[2]:
        raise ValueError(f"names several hosts: Sentinels are {_SENTINELS}, a cluster is not spoken")
    return _readable(value, "redis://user:password@host:6379/0")


def s3_place(url: str) -> tuple[str, str, dict[str, str]]:
    """Bucket, prefix and options of s3://bucket/prefix?endpoint=…&region=…"""
    parts = urlsplit(url)
    return parts.netloc, parts.path.strip("/"), dict(parse_qsl(parts.query))


def _s3_url(value: str, more: tuple[str, ...] = ()) -> str:
    if "@" in urlsplit(value).netloc:
        raise ValueError("holds a key: that is a setting of its own, or it would be shown")
    bucket, prefix, known = s3_place(value)
    strange = [name for name in known if name not in ("endpoint", "region", *more)]
    right = value.startswith("s3://") and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}", bucket)
    if not right or strange or not re.fullmatch(r"([\w-][\w.-]*(/[\w-][\w.-]*)*)?", prefix, re.ASCII):
        raise ValueError("must look like s3://bucket/prefix?endpoint=https://host&region=name")
    if "endpoint" in known:
        _http_url(known["endpoint"])
    return value


def _notes_bucket(value: str) -> str:
    _s3_url(value, ("days",))
    if not re.fullmatch(r"[1-9]\d{0,4}", s3_place(value)[2].get("days", "1")):
        raise ValueError("days is for how many days a note is locked: 1 to 99999")
    return value


def _former_url(value: str) -> str:
    return value if value == FOLDER else _s3_url(value)


def _s3_key(value: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[^\s:]+:\S+", value.get_secret_value()):
        raise ValueError("must be the id and the secret of an access key, as ID:SECRET")
    return value


def _readable(url: str, example: str) -> str:
    """The address if valid; errors do not show it: it may hold a password."""
    try:
        for host in urlsplit(url).netloc.rpartition("@")[2].split(","):
            name, _ = urlsplit(f"//{host}").hostname or "", urlsplit(f"//{host}").port
            if not unquote(name).startswith("/"):
                name.encode("idna")
    except ValueError:
        odd = "what is odd in a password (@ / ? #) is written as %40 %2F %3F %23"
        raise ValueError(f"must look like {example}; {odd}") from None
    return url


def networks(items: tuple[str, ...]) -> tuple[str, ...]:
    for item in items:
        ipaddress.ip_network(item)  # its ValueError says which
    return items


YOOKASSA_PUBLISHED_NETWORKS: Final = (
    "185.71.76.0/27", "185.71.77.0/27", "77.75.153.0/25", "77.75.156.11", "77.75.156.35", "77.75.154.128/25",
    "2a02:5180::/32",
)  # fmt: skip

Commas: Final = BeforeValidator(_split)
AnyCase: Final = BeforeValidator(_lower)
Days = Annotated[float, Field(ge=1, le=36_500)]
Port = Annotated[int, Field(ge=0, le=65535)]
Url = Annotated[str, AfterValidator(_http_url)]
TrustedProxy = Annotated[str, Field(pattern=r"^([0-9a-fA-F.:]+( [A-Za-z0-9-]+)?)?$")]
SafeUrl = Annotated[Url, AfterValidator(_safe_url)]
PostgresUrl = Annotated[str, AfterValidator(_postgres_url)]
RedisUrl = Annotated[str, AfterValidator(_redis_url)]
WebhookSecrets = Annotated[tuple[Annotated[SecretStr, AfterValidator(_webhook_secret)], ...], Commas]
BotMode = Annotated[Literal["polling", "webhook"], AnyCase]
BotToken = Annotated[SecretStr, AfterValidator(_bot_token)]
ProxyUrl = Annotated[SecretStr, AfterValidator(_proxy_url)]
SmtpUrl = Annotated[str, AfterValidator(_smtp_url)]
S3Url = Annotated[str, AfterValidator(_s3_url)]
NotesBucket = Annotated[str, AfterValidator(_notes_bucket)]
FormerUrl = Annotated[str, AfterValidator(_former_url)]
S3Key = Annotated[SecretStr, AfterValidator(_s3_key)]
S3Keys = Annotated[tuple[S3Key, ...], Commas]
MailAddress = Annotated[str, Field(pattern=r"^[^\s@<>,;\"]+@[^\s@<>,;\"]+$")]
Subject = Literal["service", "commodity", "job", "payment", "intellectual_activity", "another"]
Mode = Literal["full_prepayment", "full_payment", "advance"]
