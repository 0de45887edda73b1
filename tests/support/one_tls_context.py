"""One TLS context for all httpx clients of a process: reading the certificates takes each 20 ms of CPU."""

import os
import ssl
from functools import cache
from typing import Any

from httpx import _config
from httpx._transports import default

_create = _config.create_ssl_context


def share() -> None:
    """From here on, and for processes that are forked from this one."""
    vars(default)["create_ssl_context"] = _shared
    for trust_env in (False, True):
        _shared(trust_env=trust_env)


def _shared(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:
    if verify is not True or cert is not None:
        return _create(verify, cert, trust_env)
    return _usual(trust_env, os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _usual(trust_env: bool, _file: str | None, _folder: str | None) -> ssl.SSLContext:
    return _create(trust_env=trust_env)
