"""A whole running system for end-to-end tests: sellers in chats, processes to kill, what to read then."""

import asyncio
import itertools
from collections import Counter

import httpx

from events.codec import decode
from events.job import JobFailed
from services.rehearsal.chat_client import Sandbox
from services.rehearsal.log_watch import LogWatch, timeline
from services.rehearsal.seller import Product, Seller, is_video, photo_of
from services.rehearsal.system import Stack
from services.rehearsal.verdict import Customer, Evidence, collect, judge, submissions
from tests.support.waiting import eventually

CREDITS = 3
"""What each seller of the shared stack begins with."""
DEADLINE_S = 60
"""Longer than it takes to stop and start everything."""
ANSWER_S = DEADLINE_S + 60.0
"""What is promised: a seller hears back within the deadline plus a minute."""
RED, BLUE = (200, 40, 40), (30, 60, 190)
PLANTED = {
    "CALLBACK_SECRET": "planted-callback-secret",
    "FORGET_SECRET": "planted-forget-secret",
    "KIE_WEBHOOK_HMAC_KEY": "planted-hmac-key",
    "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20planted-collector-key",
}
"""Secrets of the shared stack beside the sandbox's own keys: no log may have them."""
_LOG_LINES = 25
_user_ids = itertools.count(500_001)


class Play:
    """One test's eyes and hands on a running stack."""

    def __init__(self, stack: Stack, log_watch: LogWatch, http: httpx.AsyncClient) -> None:
        self.stack = stack
        self.log_watch = log_watch
        self.sandbox = Sandbox(http, stack.sandbox_url)
        self.sellers: list[Seller] = []
        self._http = http

    def seller(self) -> Seller:
        """Somebody who was never here before."""
        seller = Seller(self.sandbox.chat(next(_user_ids)))
        self.sellers.append(seller)
        return seller

    def product(self, seller: Seller) -> Product:
        """A red thing with a blue label, whose name no other seller uses."""
        return Product(f"Tea cup {seller.chat.user_id}T", photo_of(RED, BLUE))

    async def order(self, seller: Seller, *, videos: int = 1, taps: int = 1) -> str:
        """The whole way from /start to the tapped order; the order's id."""
        await seller.begin()
        confirm = await seller.draft(self.product(seller), videos=videos)
        return await seller.order(confirm, taps=taps)

    async def jobs(self, seller: Seller) -> list[str]:
        return await self.log_watch.jobs_of(seller.chat.user_id)

    async def charged(self, seller: Seller) -> str:
        """The seller's first job, once it is charged: the chat may say "in the queue" a moment earlier."""
        jobs = await eventually(lambda: self.jobs(seller), ANSWER_S, what="a charged job")
        return jobs[0]

    async def error_classes(self, seller: Seller) -> list[str]:
        """Why the seller's jobs failed, one for each that did."""
        events = [decode(row) for job in await self.jobs(seller) for row in await self.log_watch.story(job)]
        return [event.failure.error_class for event in events if isinstance(event, JobFailed)]

    async def settled(self, seller: Seller, order: str, *, videos: int = 1, doubles: bool = False) -> int:
        """Wait for the order's end and check that it is one: one outcome, one message, the right balance.

        How many videos came. `doubles`: a message may have come twice.
        """
        await seller.results(order, videos, ANSWER_S)
        balance = await seller.balance()
        assert balance == await self.log_watch.balance_of(seller.chat.user_id), (
            "the chat shows another balance"
        )
        messages = Counter(
            "video" if is_video(m) else "refusal" for m in await seller.results(order, videos, 0)
        )
        jobs = await self.jobs(seller)
        failed = len(await self.error_classes(seller))
        assert len(jobs) == videos, f"{len(jobs)} jobs were charged"
        assert balance == CREDITS - videos + failed
        expected = Counter(video=videos - failed, refusal=failed)
        if doubles:
            assert expected <= messages <= expected + expected
        else:
            assert messages == expected
        return videos - failed

    async def restart(self) -> None:
        """Stop the whole system in good order, as Ctrl-C does, and start it again."""
        await self.stack.stop()
        await self.stack.start()

    async def everything_holds(self) -> None:
        """Nothing is open, and log, read models, chats, streams and the provider's book agree."""
        evidence = await self._evidence(await self.log_watch.settle())
        assert {check.name: check.problems for check in judge(evidence) if check.problems} == {}

    async def no_double_submission(self) -> None:
        assert list(submissions(await self._evidence([]))) == []

    async def _evidence(self, left_open: list[str]) -> Evidence:
        customers = [Customer(seller.chat.user_id) for seller in self.sellers]
        evidence = await collect(self.log_watch, self.sandbox, customers, left_open)
        evidence.may_double = True  # each test counts its own messages
        return evidence

    async def story(self) -> str:
        """Every job of this test's sellers: its events; for a failure's report."""
        parts = []
        for seller in self.sellers:
            parts.append(f"seller {seller.chat.user_id}; the chat ends with:\n{seller.chat.tail()}")
            for job in await self.jobs(seller):
                parts.append(f"  job {job}\n{timeline(await self.log_watch.story(job))}")
        return "\n".join(parts)


async def told(stack: Stack, play: Play | None) -> str:
    """What to read when a test failed: the jobs' stories and the ends of all logs."""
    parts = []
    if play is not None:
        try:
            async with asyncio.timeout(60), LogWatch(stack.settings) as log_watch:
                play.log_watch = log_watch  # the test's own connections belong to its loop
                parts.append(await play.story())
        except Exception as error:  # the report must not hide the failure it is about
            parts.append(f"the ledger cannot be read: {error!r}")
    for name in ["up", *stack.names()]:
        parts.append(f"--- {name} ---\n{stack.log_tail(name, _LOG_LINES)}")
    return "\n".join(parts)
