"""Addresses the provider calls when a task is done: they say which submission, and carry a secret.

    {public base}/webhooks/kie/{job}/{submission}/{secret}

The secret keeps strangers from making us look; what a call says is never believed, its record is read.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from services.platform.settings import Settings

PREFIX = "/webhooks/kie"
YOOKASSA_PATH = "/webhooks/yookassa"
"""Where YooKassa's notifications are sent to; told to it once, in its cabinet."""
_SECRET_CHARS = 32
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def callback_secret(settings: Settings, job: str, submission: int) -> str:
    """32 hex characters that only we can make for this submission."""
    key = settings.callback_key.get_secret_value().encode()
    return hmac.new(key, f"{job}/{submission}".encode(), hashlib.sha256).hexdigest()[:_SECRET_CHARS]


def callback_url(settings: Settings, job: str, submission: int) -> str | None:
    """The submission's address; None when the provider could not reach it: then polling has to do."""
    if settings.public_url is None and not _on_this_machine(settings):
        return None
    secret = callback_secret(settings, job, submission)
    return f"{settings.public_base}{PREFIX}/{job}/{submission}/{secret}"


def secret_is_right(settings: Settings, job: str, submission: int, secret: str) -> bool:
    """Whether a call's secret belongs to the submission it names; takes the same time either way."""
    return hmac.compare_digest(callback_secret(settings, job, submission).encode(), secret.encode())


def _on_this_machine(settings: Settings) -> bool:
    """Whether the provider is a sandbox that sees what we see, also without a PUBLIC_URL."""
    return settings.uses_sandbox_for("kie") or urlsplit(settings.kie_base).hostname in _LOOPBACK
