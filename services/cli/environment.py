"""Settings of a command: the environment's, and the databases of a `neurocards up` that runs here."""

from collections.abc import Collection
from functools import partial

from services.local.data_dir import DataFolder
from services.platform.logs import configure_logging
from services.platform.settings import Settings, load_only, load_settings


def configure_command_logging(settings: Settings, command: str) -> None:
    """A command's logs go to stderr, only what is unusual unless LOG_LEVEL is set."""
    chosen = "log_level" in settings.model_fields_set
    configure_logging(settings if chosen else settings.replace(log_level="warning"), command)


def prepare(command: str) -> Settings:
    """The settings of one command, with its logs set up. Raises SettingsError."""
    settings = settings_here()
    configure_command_logging(settings, command)
    return settings


def settings_here(only: Collection[str] | None = None) -> Settings:
    """The settings, with DATABASE_URL and REDIS_URL of a running `neurocards up` where they are not set."""
    load = load_settings if only is None else partial(load_only, only)
    settings = load()
    if settings.database_url and settings.redis_url:
        return settings
    running = DataFolder(settings.data_dir).running_addresses()
    found = {
        name: running[name]
        for name in ("database_url", "redis_url", "sandbox_url")
        if running.get(name) is not None and (only is None or name in only)
    }
    missing = {name: value for name, value in found.items() if getattr(settings, name) is None}
    return load(**missing) if missing else settings
