"""Signed links to stored files: `{public base}/files/{token}`. The token holds blob and expiry."""

import base64
import binascii
import hashlib
import hmac

import msgspec

from events.errors import NeurocardsError
from services.platform.metrics import OLD_SECRETS
from services.platform.settings import Settings

PREFIX = "/files"
VALID_S = 7 * 24 * 3600
_SIGNATURE_BYTES = 16
_TOKEN_CHARS_MAX = 500


class LinkError(NeurocardsError):
    """The link's token is not ours, or it is no longer valid."""


class FileLinks:
    def __init__(self, settings: Settings) -> None:
        self._base = settings.public_base
        self.reachable = settings.public_url is not None or settings.bot_token is None
        """Whether people can open our links: real ones are not on this machine, the sandbox's are."""
        secrets = [key.get_secret_value().encode() for key in settings.callback_keys]
        self._keys = [hmac.digest(secret, b"neurocards file links", "sha256") for secret in secrets]
        """Keys for this use alone; the first signs."""

    def url(self, blob: str, expires_at_s: int) -> str:
        """Link, the same for the same blob and time. `expires_at_s`: epoch seconds."""
        return f"{self._base}{PREFIX}/{self.token(blob, expires_at_s)}"

    def token(self, blob: str, expires_at_s: int) -> str:
        payload = msgspec.json.encode([blob, expires_at_s])
        return base64.urlsafe_b64encode(_sign(self._keys[0], payload) + payload).decode().rstrip("=")

    def blob(self, token: str, now_s: float) -> str:
        """The blob's key. Raises LinkError."""
        try:
            if len(token) > _TOKEN_CHARS_MAX:
                raise LinkError("not a link of ours")
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise LinkError("not a link of ours") from error
        signature, payload = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        right = [hmac.compare_digest(signature, _sign(key, payload)) for key in self._keys]
        if not any(right):
            raise LinkError("not a link of ours")
        OLD_SECRETS.labels("link").inc(not right[0])
        blob, expires_at_s = msgspec.json.decode(payload, type=tuple[str, int])
        if now_s >= expires_at_s:
            raise LinkError("the link is no longer valid")
        return blob


def _sign(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, hashlib.sha256)[:_SIGNATURE_BYTES]
