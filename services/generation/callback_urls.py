"""Webhook addresses for the provider: they name the submission and carry a secret.

    {public base}/webhooks/kie/{job}/{submission}/{secret}

The secret keeps strangers from making us look; a call is never believed, its task's record is read.
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
    """HMAC of the submission, 32 hex characters."""
    key = settings.callback_key.get_secret_value().encode()
    return hmac.new(key, f"{job}/{submission}".encode(), hashlib.sha256).hexdigest()[:_SECRET_CHARS]


def callback_url(settings: Settings, job: str, submission: int) -> str | None:
    """The submission's address; None when the provider could not reach it: polling has to do."""
    if settings.public_url is None and not _on_this_machine(settings):
        return None
    secret = callback_secret(settings, job, submission)
    return f"{settings.public_base}{PREFIX}/{job}/{submission}/{secret}"


def secret_is_right(settings: Settings, job: str, submission: int, secret: str) -> bool:
    """Compare the secret in constant time."""
    return hmac.compare_digest(callback_secret(settings, job, submission).encode(), secret.encode())


def _on_this_machine(settings: Settings) -> bool:
    """Whether the provider is a sandbox on this machine, without a PUBLIC_URL."""
    return settings.uses_sandbox_for("kie") or urlsplit(settings.kie_base).hostname in _LOOPBACK
