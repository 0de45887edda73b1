"""HTTP transport for YooKassa's SDK: timeouts, no retries of writes, typed errors.

The SDK keeps shop, key and address in process-wide class state. Nothing of that is read or written: each
transport has its own, and hands itself to the SDK's resources (`Bound`).

Writes use a fresh connection each: a kept one could be closed by the server at the moment of reuse, and
"never sent" could not be told from "unknown". Reads reuse connections and are retried once.
"""

import contextlib
import copy
from collections.abc import Callable
from typing import Any, Final, NoReturn

import msgspec
import requests
import urllib3
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from yookassa import Payment, Refund
from yookassa.client import ApiClient
from yookassa.domain.common import RequestObject, UserAgent

from services.adapters.yookassa.errors import (
    BadCredentialsError,
    KeyTakenError,
    NotFoundError,
    UnavailableError,
    UnknownError,
    YooKassaRefusedError,
)
from services.platform.witness import WITNESS

WORDS_MAX: Final = 300
CUT_OFF: Final = "cut_off"
_KEY_HEADER: Final = "Idempotence-Key"


class Address(msgspec.Struct, frozen=True):
    """Shop, address and timeouts in seconds."""

    base: str
    shop: str
    secret: SecretStr
    connect_s: float
    read_s: float
    use_proxies: bool


class Transport(ApiClient):
    """One thread's connections to a shop; `reply` is the last JSON answered with 200."""

    def __init__(self, address: Address) -> None:
        # Not super(): that reads the configuration which the whole process shares.
        self._address = address
        self.endpoint = address.base
        self.shop_id = address.shop
        self.shop_password = address.secret.get_secret_value()
        self.auth_token = None
        self.user_agent = UserAgent()  # type: ignore[no-untyped-call]
        self.reply: Any = None
        self._kept = self._session()

    def request(
        self,
        method: str = "",
        path: str = "",
        query_params: Any = None,
        headers: Any = None,
        body: Any = None,
    ) -> Any:
        """Called by the SDK's resources. Raises YooKassaError only, once it is sent."""
        if isinstance(body, RequestObject):
            body.validate()  # type: ignore[no-untyped-call]
            body = dict(body)
        given = self.prepare_request_headers(headers)  # type: ignore[no-untyped-call]
        method = method.upper()
        if method == "GET":
            try:
                response = self._send(self._kept, method, path, query_params, given, None)
            except UnknownError as error:
                if error.reason != CUT_OFF:
                    raise
                # The server may have closed a kept connection under us.
                response = self._send(self._kept, method, path, query_params, given, None)
        else:
            with contextlib.closing(self._session()) as once:
                response = self._send(once, method, path, query_params, given, body)
        self.reply = _checked(response)
        return copy.deepcopy(self.reply)  # the SDK writes into it: "unknown" over what it does not know

    def close(self) -> None:
        self._kept.close()

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = self._address.use_proxies
        session.auth = _keep_authorization  # or a .netrc would replace it
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
        return session

    def _send(
        self,
        session: requests.Session,
        method: str,
        path: str,
        query: Any,
        headers: dict[str, str],
        body: Any,
    ) -> requests.Response:
        try:
            response = session.request(
                method,
                self.endpoint + path,
                params=query,
                headers=headers,
                json=body,
                timeout=(self._address.connect_s, self._address.read_s),
                allow_redirects=False,
            )
            WITNESS.see("yookassa", response.headers)
            return response
        except (requests.exceptions.ConnectTimeout, requests.exceptions.SSLError) as error:
            raise UnavailableError("no_connection", _name(error)) from error
        except requests.exceptions.ConnectionError as error:
            if _never_connected(error):
                raise UnavailableError("no_connection", _name(error)) from error
            raise UnknownError(CUT_OFF, _name(error)) from error
        except requests.exceptions.Timeout as error:
            raise UnknownError("timeout", f"nothing within {self._address.read_s:g} s") from error
        except requests.exceptions.RequestException as error:
            raise UnknownError("broken_reply", _name(error)) from error


class Bound:
    """The SDK's resources bound to this transport."""

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.payment = _bound(Payment, transport)
        self.refund = _bound(Refund, transport)

    def run(self, call: Callable[["Bound"], Any]) -> Any:
        """The JSON that the provider answered `call` with. Raises YooKassaError."""
        self.transport.reply = None
        try:
            call(self)
        except (ValueError, TypeError) as error:
            if self.transport.reply is None:  # the SDK found fault with our request, and sent nothing
                raise YooKassaRefusedError("not_sent", str(error)[:WORDS_MAX]) from error
            # It was answered; what the SDK cannot make of that does not matter: we read it ourselves.
        return self.transport.reply


def _bound(resource: Any, transport: Transport) -> Any:
    def begin(self: Any) -> None:
        self.client = transport

    return type(resource.__name__, (resource,), {"__init__": begin})


def _checked(response: requests.Response) -> Any:
    status = response.status_code
    try:
        reply = response.json()
    except ValueError:
        reply = None
    said = reply if isinstance(reply, dict) else {}
    if status == 200:
        if reply is None:
            raise UnknownError("unreadable", "200 without JSON")
        return reply
    if status == 429:
        raise UnavailableError("too_many_requests")
    if status in (202, 408) or status >= 500 or status < 400:
        raise UnknownError(f"http_{status}", str(said.get("description", ""))[:WORDS_MAX])
    _refuse(status, said, response.headers.get("Reason-Phrase", response.reason or ""))


def _refuse(status: int, said: dict[str, Any], reason: str) -> NoReturn:
    if "code" not in said and status not in (405, 415):  # whoever said this, it was not the provider
        raise UnavailableError(f"http_{status}", reason[:WORDS_MAX])
    code = str(said.get("code") or f"http_{status}")[:WORDS_MAX]
    words = str(said.get("description") or reason)[:WORDS_MAX]
    parameter = str(said.get("parameter") or "")[:WORDS_MAX]
    if status == 401:
        raise BadCredentialsError(code, words, parameter)
    if status in (404, 410):
        raise NotFoundError(code, words, parameter)
    if status == 400 and parameter == _KEY_HEADER and "duplicate" in words.lower():
        raise KeyTakenError(code, words, parameter)
    raise YooKassaRefusedError(code, words, parameter)


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    """Whether no connection was made: refused, no route, no such name, or a proxy's no."""
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(
        reason,
        urllib3.exceptions.NewConnectionError
        | urllib3.exceptions.NameResolutionError
        | urllib3.exceptions.ConnectTimeoutError
        | urllib3.exceptions.ProxyError,
    )


def _keep_authorization(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _name(error: Exception) -> str:
    """The class alone: the message may hold proxies' passwords."""
    return type(error).__name__
