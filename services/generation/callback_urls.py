"""Webhook addresses for the provider: they name the submission and carry a secret.

    {public base}/webhooks/kie/{job}/{submission}/{secret}

The secret keeps strangers from making us look; a call is never believed, its task's record is read.
"""

import hashlib
import hmac
from urllib.parse import urlsplit

from services.platform.metrics import OLD_SECRETS
from services.platform.settings import Settings

PREFIX = "/webhooks/kie"
YOOKASSA_PATH = "/webhooks/yookassa"
"""Where YooKassa's notifications are sent to; told to it once, in its cabinet."""
_SECRET_CHARS = 32
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def callback_secrets(settings: Settings, job: str, submission: int) -> list[str]:
    """HMACs of the submission, 32 hex characters, one per secret of ours."""
    keys = [key.get_secret_value().encode() for key in settings.callback_keys]
    named = f"{job}/{submission}".encode()
    return [hmac.new(key, named, hashlib.sha256).hexdigest()[:_SECRET_CHARS] for key in keys]


def callback_urls(settings: Settings, job: str, submission: int) -> list[str]:
    """The submission's addresses, the one told first; none where the provider cannot reach us."""
    if settings.public_url is None and not _on_this_machine(settings):
        return []
    base = f"{settings.public_base}{PREFIX}/{job}/{submission}"
    return [f"{base}/{secret}" for secret in callback_secrets(settings, job, submission)]


def callback_url(settings: Settings, job: str, submission: int) -> str | None:
    """The address told to the provider; None: polling has to do."""
    return next(iter(callback_urls(settings, job, submission)), None)


def secret_is_right(settings: Settings, job: str, submission: int, secret: str) -> bool:
    """Compare the secret with each of ours, in constant time."""
    for older, ours in enumerate(callback_secrets(settings, job, submission)):
        if hmac.compare_digest(ours.encode(), secret.encode()):
            OLD_SECRETS.labels("callback").inc(older > 0)
            return True
    return False


def _on_this_machine(settings: Settings) -> bool:
    """Whether the provider is a sandbox on this machine, without a PUBLIC_URL."""
    return settings.uses_sandbox_for("kie") or urlsplit(settings.kie_base).hostname in _LOOPBACK
