"""All of KIE as one process uses it: the accounts (one per key), and the fetching of results."""

import hashlib
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from services.adapters.kie.client import CONNECTIONS, KieClient, KieHttp
from services.adapters.kie.download import ResultFetcher
from services.adapters.kie.public_addresses import origin_of, public_client
from services.platform.blobs import BlobStore, StoredBlob
from services.platform.settings import Settings


def account_name(key: SecretStr) -> str:
    """A short name for a key that is safe to write down and stays the same when keys are reordered."""
    return "k" + hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]


class Kie:
    """The provider. An async context manager that owns the connections."""

    def __init__(self, settings: Settings, blobs: BlobStore) -> None:
        sandboxed = settings.uses_sandbox_for("kie")
        self._http = KieHttp.open(use_proxies=not sandboxed)
        self._clients = {
            (name := account_name(key)): KieClient(
                name, key, settings.kie_base, settings.kie_upload_base, self._http
            )
            for key in settings.kie_keys
        }
        bases = (settings.kie_base, settings.kie_upload_base)
        trusted = {origin for base in bases if (origin := origin_of(base)) is not None}
        files = public_client(trusted, use_proxies=not sandboxed, **CONNECTIONS)
        self._results = ResultFetcher(files, blobs, trusted, settings.kie_result_hosts)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts' names, in the order of the keys."""
        return tuple(self._clients)

    def client(self, account: str) -> KieClient | None:
        """The account's client; None when its key is no longer configured."""
        return self._clients.get(account)

    async def fetch(self, url: str, key: str) -> StoredBlob:
        """Store the video at `url` under `key`. Raises BrokenResultError; storage trouble passes through."""
        return await self._results.fetch(url, key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._results.close()
        await self._http.close()
