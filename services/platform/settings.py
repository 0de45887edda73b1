"""Settings of a process, and what follows from them.

`load_settings()` raises SettingsError with one line per wrong variable and shows no secret. A company without
a configured key or address is replaced by the sandbox.
"""

import os
import socket
from collections.abc import Collection, Mapping
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, ValidationError
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

from services.platform.endpoints import COMPANIES, KIE_UPLOAD_LIVE_BASE, YOOKASSA_SANDBOX_SHOP, CompanyName
from services.platform.errors import SettingsError
from services.platform.settings_fields import SettingsFields
from services.platform.settings_secrets import SECRETS, secret_files


class Settings(SettingsFields, defer_build=False):
    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, _: Any, init_settings: Any, env_settings: Any, dotenv_settings: Any, **__: Any
    ) -> tuple[Any, ...]:
        """The texts as they are: pydantic would look at each field's type anew for each instance."""
        given = (env_settings.env_vars, dotenv_settings.env_vars, secret_files())
        return init_settings, *(partial(_texts, texts) for texts in given)

    def _given(self, name: CompanyName) -> tuple[bool, str | None]:
        key, url = {
            "telegram": (self.bot_token, self.telegram_api_url),
            "kie": (self.kie_api_keys, self.kie_api_url),
            "openai": (self.openai_api_key, self.openai_base_url),
            "yookassa": (self.yookassa_secret_key, self.yookassa_api_url),
        }[name]
        return bool(key), url

    def _base(self, name: CompanyName) -> str:
        company, (has_key, url) = COMPANIES[name], self._given(name)
        return url or (company.live_base if has_key else self.sandbox_base + company.sandbox_path)

    def uses_sandbox_for(self, name: CompanyName) -> bool:
        """Whether neither this company's key nor its address is set."""
        return self._given(name) == (False, None)

    @property
    def needs_sandbox(self) -> bool:
        return any(self.uses_sandbox_for(name) for name in COMPANIES)

    @cached_property
    def sandbox_base(self) -> str:
        return self.sandbox_url or _address(self.sandbox_host, self.sandbox_port)

    @cached_property
    def public_base(self) -> str:
        return self.public_url or _address(self.web_host, self.web_port)

    @cached_property
    def dashboard_base(self) -> str:
        return self.dashboard_url or _address(self.dashboard_host, self.dashboard_port)

    @cached_property
    def telegram_base(self) -> str:
        return self._base("telegram")

    @cached_property
    def telegram_token(self) -> SecretStr:
        return self.bot_token or SecretStr(COMPANIES["telegram"].sandbox_key)

    @cached_property
    def kie_base(self) -> str:
        return self._base("kie")

    @cached_property
    def kie_upload_base(self) -> str:
        """Upload address. Without a key, KIE_API_URL is a sandbox, which takes uploads too."""
        live = KIE_UPLOAD_LIVE_BASE if self.kie_api_keys else self.kie_base
        return self.kie_upload_url or live

    @cached_property
    def kie_keys(self) -> tuple[SecretStr, ...]:
        return self.kie_api_keys or (SecretStr(COMPANIES["kie"].sandbox_key),)

    @cached_property
    def kie_poll_s(self) -> float:
        """First pause between polls of a task; short in the sandbox."""
        return self.kie_poll_seconds or (0.5 if self.uses_sandbox_for("kie") else 5.0)

    @cached_property
    def kie_rest_s(self) -> float:
        """First rest of a failing key; short in the sandbox."""
        return self.kie_rest_seconds or (1.0 if self.uses_sandbox_for("kie") else 15.0)

    @cached_property
    def model_rest_s(self) -> float:
        """First rest of a failing model; short in the sandbox."""
        return self.model_rest_seconds or (2.0 if self.uses_sandbox_for("kie") else 60.0)

    @cached_property
    def openai_base(self) -> str:
        return self._base("openai")

    @cached_property
    def openai_key(self) -> SecretStr:
        return self.openai_api_key or SecretStr(COMPANIES["openai"].sandbox_key)

    @cached_property
    def yookassa_base(self) -> str:
        return self._base("yookassa")

    @cached_property
    def yookassa_shop(self) -> str:
        return self.yookassa_shop_id or YOOKASSA_SANDBOX_SHOP

    @cached_property
    def yookassa_secret(self) -> SecretStr:
        return self.yookassa_secret_key or SecretStr(COMPANIES["yookassa"].sandbox_key)

    @property
    def yookassa_test(self) -> bool:
        return self.yookassa_secret.get_secret_value().startswith("test_")

    @property
    def payment_return(self) -> str:
        chat = f"{self.sandbox_base}/" if self.uses_sandbox_for("telegram") else "https://t.me"
        return self.payment_return_url or chat

    @property
    def web_proxies_count(self) -> int:
        """Our proxies before the web process; the sandbox counts as the real one."""
        return self.web_proxies if self.web_proxies is not None else int(self.uses_sandbox_for("yookassa"))

    @cached_property
    def callback_keys(self) -> tuple[SecretStr, ...]:
        """Secrets in callback addresses and links; the first signs. Not all who need them have KIE's keys.

        Raises SettingsError where people or the provider are real and there is none.
        """
        if not self.callback_secret and (self._people_are_real or self.kie_api_keys):
            raise SettingsError(
                ["CALLBACK_SECRET: is not set; needed with BOT_TOKEN or KIE_API_KEYS: `openssl rand -hex 32`"]
            )
        return self.callback_secret or (SecretStr("nothing in the sandbox is secret"),)

    @cached_property
    def forget_secrets(self) -> tuple[SecretStr, ...]:
        """Secrets of erased people's hashes, the newest first.

        Raises SettingsError where people are real and there is none: it follows from no other secret.
        """
        if not self.forget_secret and self._people_are_real:
            raise SettingsError(
                ["FORGET_SECRET: is not set; people are real with this BOT_TOKEN: `openssl rand -hex 32`"]
            )
        return self.forget_secret or (SecretStr("nobody in the sandbox is real"),)

    @property
    def webhook_secret(self) -> SecretStr:
        """What Telegram is told to show. Raises SettingsError without one, also in the sandbox."""
        if not self.bot_webhook_secret:
            raise SettingsError(
                ["BOT_WEBHOOK_SECRET: is not set; needed with BOT_MODE=webhook: `openssl rand -hex 32`"]
            )
        return self.bot_webhook_secret[0]

    @property
    def _people_are_real(self) -> bool:
        return self.telegram_token.get_secret_value() != COMPANIES["telegram"].sandbox_key

    @cached_property
    def instance(self) -> str:
        """Name among processes of its kind, e.g. as a consumer of a stream."""
        return self.instance_name or socket.gethostname()

    def replace(self, **changes: Any) -> Self:
        """Changed copy, validated; the environment is not read again."""
        return self.model_validate({name: getattr(self, name) for name in type(self).model_fields} | changes)

    @property
    def backups(self) -> Path:
        """Folder of backups and archived WAL, there or not."""
        return (self.backup_dir or self.data_dir / "backups").expanduser().absolute()

    def require_database_url(self) -> str:
        return _required("DATABASE_URL", self.database_url)

    def require_owner_url(self) -> str:
        return self.database_owner_url or self.require_database_url()

    def require_redis_url(self) -> str:
        return _required("REDIS_URL", self.redis_url)


def load_settings(**overrides: Any) -> Settings:
    """Read the environment, `.env` and files of secrets; `overrides` win. Raises SettingsError."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError(
            sorted(_problem(dict(item)) for item in error.errors(include_input=False))
        ) from None


def load_only(fields: Collection[str], **overrides: Any) -> Settings:
    """Read only these fields; all others have their defaults, unchecked."""
    unread = {n: field.get_default() for n, field in Settings.model_fields.items() if n not in fields}
    return load_settings(**unread | overrides)


def fields_of(process: str) -> set[str]:
    """Settings that a process reads: all but others' secrets."""
    return {field for field in Settings.model_fields if process in SECRETS.get(field, (process,))}


def environment_of(process: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Environment for a child process: ours, and of the settings there, in `.env` and in `more` its own.

    The child need not read `.env`, which has the others'. Names count in any case, as they do for settings.
    """
    ours = _fields_by_name()
    given = {
        **secret_files(),
        **DotEnvSettingsSource(Settings).env_vars,
        **EnvSettingsSource(Settings).env_vars,
    }
    given |= {name.lower(): value for name, value in (more or {}).items()}
    own = fields_of(process)
    return {name: value for name, value in os.environ.items() if name.lower() not in ours} | {
        variable_name(ours[name]): value for name, value in given.items() if value and ours.get(name) in own
    }


@cache
def _fields_by_name() -> dict[str, str]:
    return {name.lower(): field for field in Settings.model_fields for name in (field, variable_name(field))}


def _texts(given: Mapping[str, str | None]) -> dict[Any, Any]:
    names = [(name, field) for name, field in _fields_by_name().items() if given.get(name)]
    return {Settings.model_fields[field].validation_alias or field: given[name] for name, field in names}


def variable_name(field: str) -> str:
    alias = Settings.model_fields[field].validation_alias if field in Settings.model_fields else None
    return alias if isinstance(alias, str) else field.upper()


def _problem(error: dict[str, Any]) -> str:
    reason = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return reason  # a rule across fields names its variable itself
    if error["type"] in ("too_short", "string_too_short"):
        reason = f"must have at least {error['ctx']['min_length']} characters"
    reason = reason.removeprefix("Input ")
    return f"{variable_name(str(error['loc'][0]))}: {reason}"


def _required(variable: str, value: str | None) -> str:
    if value is None:
        raise SettingsError(
            [f"{variable}: is not set; set it, or start everything on this machine with `neurocards up`"]
        )
    return value


def _address(host: str, port: int) -> str:
    host = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - read, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
