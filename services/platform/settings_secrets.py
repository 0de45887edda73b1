"""Which process gets which secret; reads those that are files."""

import os
from pathlib import Path
from typing import Final

from services.platform.errors import SettingsError

_SERVICES: Final = "bot web worker monitor maintenance relay projector notifier dashboard"

SECRETS: Final[dict[str, frozenset[str]]] = {
    field: frozenset(processes.split())
    for field, processes in {
        "database_url": _SERVICES,
        "database_owner_url": "",
        "database_direct_url": "bot relay",
        "audit_database_url": "",
        "blobs_key": "bot worker maintenance",
        "blobs_read_key": "web notifier",
        "redis_url": "bot web worker maintenance relay projector notifier dashboard",
        "bot_token": "bot maintenance notifier",
        "bot_webhook_secret": "bot web",
        "kie_api_keys": "web worker maintenance",
        "kie_api_keys_retiring": "web worker maintenance",
        "openai_api_key": "bot worker",
        "openai_proxy": "bot worker",
        "yookassa_shop_id": "bot web maintenance",  # goes with its key
        "yookassa_secret_key": "bot web maintenance",
        "callback_secret": "web worker notifier",
        "kie_webhook_hmac_key": "web sandbox",
        "forget_secret": "bot",
        "admin_ids": "bot",
        "checkpoint_key_file": "maintenance",
        "alerts_chat_id": "maintenance",
        "notes_chat_id": "maintenance",
        "notes_mail_to": "maintenance",
        "notes_bucket_key": "maintenance",
        "smtp_url": "maintenance",
        "otel_exporter_otlp_headers": f"{_SERVICES} sandbox",
    }.items()
}
"""What is secret, or may hold a password or a person → the processes that get it.

Whoever types a command gets all. docs/security.md has the table.
"""


def secret_files() -> dict[str, str]:
    """Secrets from SECRETS_DIR, one file each: bot_token, kie_api_keys, … Raises SettingsError."""
    folder = os.environ.get("SECRETS_DIR")
    if not folder:
        return {}
    found = {}
    try:
        for file in (file for file in Path(folder).iterdir() if file.name in SECRETS):
            found[file.name] = file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f"SECRETS_DIR: cannot be read: {error}"]) from error
    return found
