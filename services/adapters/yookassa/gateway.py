"""YooKassa's client of one process, with a bounded thread pool.

The SDK blocks, and a hung call holds its thread until the read times out; so threads are counted, writes get
at most half, and a caller who finds none free in time gets UnavailableError. A cancelled caller leaves its
thread to end by itself.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

from services.adapters.yookassa.errors import UnavailableError, YooKassaNoAnswerError, YooKassaRefusedError
from services.adapters.yookassa.metrics import CALL_SECONDS, CALLS
from services.adapters.yookassa.records import Page, PaymentRecord, RefundRecord, read, read_page
from services.adapters.yookassa.transport import Address, Bound, Transport
from services.platform.settings import Settings

FREE_THREAD_S: Final = 5.0
PAGE_ITEMS: Final = 100


class YooKassa:
    """One shop: an async context manager that owns threads and connections.

    Every call raises YooKassaRefusedError (a final no), UnavailableError (not carried out) or UnknownError
    (perhaps carried out). `shop` and `test` are what its objects should say.
    """

    def __init__(self, settings: Settings, *, free_thread_s: float = FREE_THREAD_S) -> None:
        self.shop = settings.yookassa_shop
        self.test = settings.yookassa_test
        self._address = Address(
            base=settings.yookassa_base,
            shop=settings.yookassa_shop,
            secret=settings.yookassa_secret,
            connect_s=settings.yookassa_connect_seconds,
            read_s=settings.yookassa_read_seconds,
            use_proxies=not settings.uses_sandbox_for("yookassa"),
        )
        threads = settings.yookassa_threads
        self._free_thread_s = free_thread_s
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="yookassa")
        self._free = asyncio.Semaphore(threads)
        self._free_for_writing = asyncio.Semaphore(max(1, threads // 2))
        self._own = threading.local()
        self._transports: list[Transport] = []

    async def create_payment(self, body: Mapping[str, Any], key: str) -> PaymentRecord:
        """Create a payment; idempotent for the same key and body for a day."""
        reply = await self._write("create", lambda sdk: sdk.payment.create(dict(body), key))
        return read(reply, PaymentRecord)

    async def payment(self, payment_id: str) -> PaymentRecord:
        """Read a payment. Raises NotFoundError."""
        reply = await self._read("get", lambda sdk: sdk.payment.find_one(payment_id))
        return read(reply, PaymentRecord)

    async def payments(self, since: str, cursor: str | None = None) -> Page[PaymentRecord]:
        """Payments created at or after `since` (ISO 8601), newest first."""
        query = _query(since, cursor)
        reply = await self._read("list", lambda sdk: sdk.payment.list(query))
        return read_page(reply, PaymentRecord)

    async def create_refund(self, body: Mapping[str, Any], key: str) -> RefundRecord:
        """Create a refund; idempotent for the same key and body for a day."""
        reply = await self._write("refund", lambda sdk: sdk.refund.create(dict(body), key))
        return read(reply, RefundRecord)

    async def refund(self, refund_id: str) -> RefundRecord:
        """Read a refund. Raises NotFoundError."""
        reply = await self._read("get_refund", lambda sdk: sdk.refund.find_one(refund_id))
        return read(reply, RefundRecord)

    async def refunds(
        self, since: str | None = None, cursor: str | None = None, *, payment_id: str | None = None
    ) -> Page[RefundRecord]:
        """Refunds created at or after `since`, or of one payment, newest first."""
        query = _query(since, cursor) | ({"payment_id": payment_id} if payment_id else {})
        reply = await self._read("list_refunds", lambda sdk: sdk.refund.list(query))
        return read_page(reply, RefundRecord)

    async def _read(self, call: str, ask: Callable[[Bound], Any]) -> Any:
        return await self._in_thread(call, ask, (self._free,))

    async def _write(self, call: str, ask: Callable[[Bound], Any]) -> Any:
        return await self._in_thread(call, ask, (self._free_for_writing, self._free))

    async def _in_thread(
        self, call: str, ask: Callable[[Bound], Any], turns: tuple[asyncio.Semaphore, ...]
    ) -> Any:
        held: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(self._free_thread_s):
                for turn in turns:
                    await turn.acquire()
                    held.append(turn)
            work = asyncio.get_running_loop().run_in_executor(self._executor, self._run, call, ask)
        except BaseException as error:
            for turn in held:
                turn.release()
            if isinstance(error, TimeoutError):
                CALLS.labels(call, "unavailable").inc()
                raise UnavailableError("no_free_thread", f"none within {self._free_thread_s:g} s") from None
            raise

        def ended(done: "asyncio.Future[Any]") -> None:
            for turn in held:
                turn.release()
            if not done.cancelled():
                done.exception()  # seen, also when nobody waits for it any more

        work.add_done_callback(ended)
        # Whoever is cancelled stops waiting; the thread is given back when the call has really ended.
        return await asyncio.shield(work)

    def _run(self, call: str, ask: Callable[[Bound], Any]) -> Any:
        bound: Bound | None = getattr(self._own, "bound", None)
        if bound is None:
            transport = Transport(self._address)
            self._transports.append(transport)
            bound = self._own.bound = Bound(transport)
        began, result = time.perf_counter(), "unknown"
        try:
            reply = bound.run(ask)
            result = "ok"
            return reply
        except YooKassaRefusedError:
            result = "refused"
            raise
        except YooKassaNoAnswerError as error:
            result = "unavailable" if isinstance(error, UnavailableError) else "unknown"
            raise
        finally:
            CALLS.labels(call, result).inc()
            CALL_SECONDS.labels(call).observe(time.perf_counter() - began)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        for transport in self._transports:
            transport.close()


def _query(since: str | None, cursor: str | None) -> dict[str, Any]:
    query: dict[str, Any] = {"limit": PAGE_ITEMS}
    if since is not None:
        query["created_at.gte"] = since
    if cursor is not None:
        query["cursor"] = cursor
    return query
