"""KIE's API for one process: a client per account, and result downloads.

Requests carry no more than they need; replies are read with limits (envelope.py). createTask has no
idempotency key, so it tells three outcomes apart:

    returns a task id                   made
    KieRefusedError, KieNotSentError    nothing was made; the failure's class says whether to ask again
    OutcomeUnknownError                 perhaps made: a timeout or reset after sending, a 5xx, half a JSON
"""

import hashlib
import math
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Self

import httpx
import msgspec
from pydantic import SecretStr

from services.adapters.kie.download import ResultFetcher
from services.adapters.kie.envelope import Reply, TaskRecord, ask, parse_record
from services.adapters.kie.errors import KieRefusedError, OutcomeUnknownError, TaskUnknownError
from services.adapters.kie.failures import CREATE_FAILED, UNCLASSIFIED, Rule, rule_for
from services.adapters.kie.metrics import measured
from services.adapters.kie.public_addresses import origin_of, public_client
from services.platform.blobs import BlobStore, StoredBlob
from services.platform.ids import is_outside_id
from services.platform.settings import Settings
from services.platform.tls import tls_context
from services.platform.witness import WITNESS

CREATE_S = 30.0
READ_S = 15.0
UPLOAD_S = 60.0
UPLOAD_PATH = "images/neurocards"
CONNECTIONS: Final[dict[str, Any]] = {
    "timeout": httpx.Timeout(connect=5.0, read=25.0, write=25.0, pool=10.0),
    "headers": {"User-Agent": "neurocards/1.0 (httpx)"},  # the upload host refuses unusual ones
}


class KieHttp(msgspec.Struct, frozen=True):
    """HTTP clients shared by all accounts. `once` keeps no connection alive: one that the provider closes at
    the moment of reuse would leave it unknown whether createTask was carried out."""

    once: httpx.AsyncClient
    kept: httpx.AsyncClient

    @classmethod
    def open(cls, *, use_proxies: bool) -> "KieHttp":

        def client(kept: int) -> httpx.AsyncClient:
            limits = httpx.Limits(max_connections=100, max_keepalive_connections=kept, keepalive_expiry=15)
            return httpx.AsyncClient(
                verify=tls_context(),
                limits=limits,
                trust_env=use_proxies,
                event_hooks={"response": [WITNESS.hook("kie")]},
                **CONNECTIONS,
            )

        return cls(once=client(0), kept=client(20))

    async def close(self) -> None:
        await self.once.aclose()
        await self.kept.aclose()


class KieClient:
    """One account's calls. `account` is its short name, never the key."""

    def __init__(self, account: str, key: SecretStr, api_base: str, upload_base: str, http: KieHttp) -> None:
        self.account = account
        self._key = key
        self._api_base = api_base
        self._upload_base = upload_base
        self._http = http

    @measured("createTask")
    async def create_task(self, model: str, fields: dict[str, Any], callback_url: str | None) -> str:
        """Create a task; its id. Raises KieRefusedError, KieNotSentError or OutcomeUnknownError."""
        body: dict[str, Any] = {"model": model, "input": fields}
        if callback_url is not None:
            body["callBackUrl"] = callback_url
        request = self._request(self._http.once, "POST", "/api/v1/jobs/createTask", json=body)
        reply = await ask(self._http.once, request, total_s=CREATE_S)
        task = reply.fields.get("taskId")
        if is_outside_id(task):
            return str(task)  # whatever the code says: a task has an id only when it exists
        if task:  # it exists, under a name that nobody can keep
            raise OutcomeUnknownError(reply.unusable)
        raise _create_error(reply)

    @measured("recordInfo")
    async def read_task(self, task: str) -> TaskRecord:
        """A task's record. Raises TaskUnknownError, KieRefusedError, KieNoAnswerError (retry later)."""
        request = self._request(self._http.kept, "GET", "/api/v1/jobs/recordInfo", params={"taskId": task})
        reply = await ask(self._http.kept, request, total_s=READ_S)
        if reply.fields.get("state"):  # real data counts even under a code like 505
            return parse_record(reply.fields)
        if reply.code in ("404", "422") or (reply.ok and not reply.fields):
            raise TaskUnknownError(reply.failure())
        raise _error(reply)

    @measured("upload")
    async def upload(self, data: bytes, file_name: str, mime: str = "image/jpeg") -> str:
        """Upload a picture for the provider to fetch; its URL, valid a day or more.

        `file_name` must be new every time: the same name overwrites, and caches keep the old one. Raises
        KieRefusedError, or KieNoAnswerError (repeating is safe: uploads are free).
        """
        request = self._http.kept.build_request(
            "POST",
            self._upload_base + "/api/file-stream-upload",
            headers=self._headers(),
            data={"uploadPath": UPLOAD_PATH, "fileName": file_name},
            files={"file": (file_name, data, mime)},
        )
        reply = await ask(self._http.kept, request, total_s=UPLOAD_S)
        url = reply.fields.get("downloadUrl")
        if reply.ok and isinstance(url, str) and url.startswith(("http://", "https://")):
            return url
        raise _error(reply)

    @measured("successRate")
    async def is_normal(self, model: str) -> bool | None:
        """Whether the provider reports the model as healthy; None: it does not say. Free, once a second.
        Raises KieRefusedError or KieNoAnswerError."""
        return _newest_verdict(await self._told_of(model, "success-rate"))

    @measured("price")
    async def price_text(self, model: str) -> str:
        """Price of a model in the provider's prose; empty: not told. Free, once a second."""
        told = await self._told_of(model, "price")
        return str(told.get("pricingDesc") or "") if isinstance(told, dict) else ""

    @measured("schema")
    async def schema(self, model: str) -> Any:
        """OpenAPI document of a model's input, or None. Free, once a second."""
        return await self._told_of(model, "schema")

    async def _told_of(self, model: str, what: str) -> Any:
        path = f"/api/v1/models/{model}/{what}"
        reply = await ask(self._http.kept, self._request(self._http.kept, "GET", path), total_s=READ_S)
        if not reply.ok:
            raise _error(reply)
        return reply.data

    @measured("credit")
    async def credit(self) -> Decimal:
        """Account balance in the provider's credits. Raises KieRefusedError or KieNoAnswerError."""
        request = self._request(self._http.kept, "GET", "/api/v1/chat/credit")
        reply = await ask(self._http.kept, request, total_s=READ_S)
        if reply.ok:
            try:
                balance = Decimal(str(reply.data))
            except InvalidOperation:
                balance = Decimal(math.nan)
            if balance.is_finite():
                return balance
        raise _error(reply)

    def _request(self, client: httpx.AsyncClient, method: str, path: str, **more: Any) -> httpx.Request:
        return client.build_request(method, self._api_base + path, headers=self._headers(), **more)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key.get_secret_value()}"}


def _create_error(reply: Reply) -> KieRefusedError | OutcomeUnknownError:
    if not reply.enveloped:
        if _refused_by_http(reply):
            return KieRefusedError(reply.failure(), reply.retry_after_s)
        return OutcomeUnknownError(reply.unusable)
    if reply.ok:
        return OutcomeUnknownError(reply.unusable)
    rule: Rule = rule_for(reply.signal)
    if rule.maybe_created and (reply.http_status >= 500 or reply.http_status == 408):
        return OutcomeUnknownError(reply.failure(rule))
    if rule is UNCLASSIFIED and reply.code in CREATE_FAILED.codes:
        rule = CREATE_FAILED
    return KieRefusedError(reply.failure(rule), reply.retry_after_s)


def _error(reply: Reply) -> KieRefusedError | OutcomeUnknownError:
    """A refusal, or an answer that is none; for what may be asked again."""
    if reply.ok or not (reply.enveloped or _refused_by_http(reply)):
        return OutcomeUnknownError(reply.unusable, reply.retry_after_s)
    return KieRefusedError(reply.failure(), reply.retry_after_s)


def _refused_by_http(reply: Reply) -> bool:
    """Whether a 4xx is a refusal; 408 is a timeout."""
    return 300 <= reply.http_status < 500 and reply.http_status != 408


def _newest_verdict(data: Any) -> bool | None:
    """`isNormal` of the newest bucket, wherever they stand; None when that cannot be told."""
    lists = [data] if isinstance(data, list) else list(data.values()) if isinstance(data, dict) else []
    buckets = [bucket for found in lists if isinstance(found, list) for bucket in found]
    timed = {
        str(value): bucket.get("isNormal")
        for bucket in buckets
        if isinstance(bucket, dict)
        for name, value in bucket.items()
        if "time" in name.lower()
    }
    verdict = timed[max(timed)] if timed else None
    return verdict if isinstance(verdict, bool) else None


def account_name(key: SecretStr) -> str:
    """A short name for a key: safe to log, unchanged when keys are reordered."""
    return "k" + hashlib.sha256(key.get_secret_value().encode()).hexdigest()[:8]


class Kie:
    """The provider: an async context manager that owns the connections."""

    def __init__(self, settings: Settings, blobs: BlobStore) -> None:
        sandboxed = settings.uses_sandbox_for("kie")
        self._http = KieHttp.open(use_proxies=not sandboxed)
        self._clients = {
            (name := account_name(key)): KieClient(
                name, key, settings.kie_base, settings.kie_upload_base, self._http
            )
            for key in (*settings.kie_keys, *settings.kie_api_keys_retiring)
        }
        self._accounts = tuple(dict.fromkeys(map(account_name, settings.kie_keys)))
        bases = (settings.kie_base, settings.kie_upload_base)
        trusted = {origin for base in bases if (origin := origin_of(base)) is not None}
        files = public_client(trusted, use_proxies=not sandboxed, **CONNECTIONS)
        self._results = ResultFetcher(files, blobs, trusted, settings.kie_result_hosts)

    @property
    def accounts(self) -> tuple[str, ...]:
        """Those that begin videos: a retiring one only looks and fetches."""
        return self._accounts

    def client(self, account: str) -> KieClient | None:
        return self._clients.get(account)

    async def fetch(self, url: str, key: str) -> StoredBlob:
        """Store the video at `url` under `key`. Raises BrokenResultError and the blob store's errors."""
        return await self._results.fetch(url, key)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._results.close()
        await self._http.close()
