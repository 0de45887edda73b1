"""The TLS context of all httpx clients of this process: each of its own would read the certificates anew."""

import ssl
from functools import cache

import httpx


@cache
def tls_context() -> ssl.SSLContext:
    """The usual certificates, or those that SSL_CERT_FILE or SSL_CERT_DIR name; 20 ms of CPU once."""
    return httpx.create_ssl_context()
