"""Runner of one inbox lane: a chat's updates in order, chats side by side.

handled                     deleted
trouble of the surroundings waits and tries again, up to WAIT_S_MAX; the person is told after a moment
handler raised              the person is told and it is logged, both once; tried again; then parked
took its process with it    parked once BEGUN_MAX processes had begun it
left out of a flood         told with the next one of its chat, once per flood

Between two updates of a chat every other chat that waits has one handled: each queues anew for a slot.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

from ledger.postgres import TRANSIENT
from services.bot.inbox.store import PER_CHAT_MAX, Inbox, StoredUpdate
from services.bot.metrics import IN_HAND, UPDATES, handling
from services.platform.outage_log import OutageLog, Pauses
from services.platform.periodic import sleep

logger = structlog.get_logger()
T = TypeVar("T")

CHATS_AT_ONCE: Final = 32
IN_HAND_MAX: Final = 1000
FAILURES_MAX: Final = 3
BEGUN_MAX: Final = 10
WAIT_S_MAX: Final = 6 * 3600.0
TELL_AFTER_S: Final = 2.0
"""A hiccup shorter than this is not worth a word to the person."""
POLL_S: Final = 2.0
RETRY_FIRST_S: Final = 1.0
FLOOD_REST_S: Final = 60.0


class InboxHandler(Protocol):
    """Handler of updates. `waits` and `failed` tell the person; what they raise is only logged."""

    async def handle(self, stored: StoredUpdate) -> None:
        """Handle an update; may see the same one twice."""

    def is_transient(self, error: BaseException) -> bool:
        """Whether the surroundings are to blame and waiting helps."""

    async def flooded(self, stored: StoredUpdate) -> None:
        """Said before `stored` is handled: earlier ones of its chat were left out. May raise as `handle`."""

    async def waits(self, stored: StoredUpdate, error: BaseException) -> None:
        """The surroundings are in trouble: the answer will be late."""

    async def failed(self, stored: StoredUpdate, error: BaseException) -> None:
        """Handling raised: there may be no answer."""


class InboxRunner:
    """Handles one lane of the inbox until told to stop. One runner per lane at a time: see `LeaderLock`."""

    def __init__(
        self,
        inbox: Inbox,
        handler: InboxHandler,
        *,
        urgent: bool = False,
        chats_at_once: int = CHATS_AT_ONCE,
        retry_first_s: float = RETRY_FIRST_S,
    ) -> None:
        self._inbox = inbox
        self._handler = handler
        self._urgent = urgent
        self._told_at: dict[int, float] = {}
        self._retry_first_s = retry_first_s
        self._slots = asyncio.Semaphore(chats_at_once)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._chats: dict[int, deque[StoredUpdate]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_hand: set[int] = set()
        self._trouble = OutageLog("handling updates")

    def wake(self) -> None:
        self._wake.set()

    def status(self) -> dict[str, int]:
        """The backlog: updates taken and not settled (at most IN_HAND_MAX, others wait), and their chats."""
        return {"updates": len(self._in_hand), "chats": len(self._chats)}

    async def run(self, stop: asyncio.Event) -> None:
        self._stop = stop
        pauses = Pauses()
        while not stop.is_set():
            self._wake.clear()
            try:
                await self._take()
            except TRANSIENT as error:
                self._trouble.met(error)
                await sleep(pauses.next_s(), self._stop)
                continue
            pauses = Pauses()
            IN_HAND.labels("urgent" if self._urgent else "ordinary").set(len(self._in_hand))
            await sleep(POLL_S, stop, self._wake)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._chats.clear()
        self._in_hand.clear()

    async def _take(self) -> None:
        room = IN_HAND_MAX - len(self._in_hand)
        if room <= 0:
            return
        for stored in await self._inbox.waiting(self._urgent, self._in_hand, room):
            queue = self._chats.get(stored.chat_id)
            if queue is not None and len(queue) >= PER_CHAT_MAX:
                continue
            self._in_hand.add(stored.update_id)
            if queue is None:
                queue = self._chats[stored.chat_id] = deque()
                task = asyncio.create_task(
                    self._run_chat(stored.chat_id, queue), name=f"chat-{stored.chat_id}"
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            queue.append(stored)

    async def _run_chat(self, chat_id: int, queue: deque[StoredUpdate]) -> None:
        try:
            behind_own = False
            while queue and not self._stop.is_set():
                await self._settle(queue[0], behind_own=behind_own)
                behind_own = True
                self._in_hand.discard(queue.popleft().update_id)
        except Exception:  # a bug here must not take the whole inbox down; the rest is taken in hand again
            logger.exception("chat_failed", chat_id=chat_id)
            await sleep(self._retry_first_s, self._stop)
        finally:
            self._in_hand.difference_update(stored.update_id for stored in queue)
            del self._chats[chat_id]
            self._wake.set()

    async def _settle(self, stored: StoredUpdate, *, behind_own: bool) -> None:
        clear_contextvars()  # what handlers bind, e.g. the account, is in every line about this update
        bind_contextvars(update_id=stored.update_id)
        begun = await self._surely(lambda: self._inbox.begin(stored.update_id))
        if begun is None:  # gone: left out of a flood, or its person was erased; or the process ends
            return
        processes, dropped, age_s = begun
        handling(age_s, behind_own=behind_own)
        if processes > BEGUN_MAX:
            await self._park(stored, f"{processes - 1} processes ended while handling it")
            return
        pauses, told = Pauses(), False
        while not self._stop.is_set():
            try:
                async with self._slots:
                    if dropped:
                        await self._tell_of_flood(stored)
                    await self._handler.handle(stored)
            except Exception as error:  # sorted below: wait, try again, or park
                if not self._handler.is_transient(error):
                    if await self._failed(stored, error):
                        return
                    pauses, told = Pauses(), False
                    continue
                self._trouble.met(error)
                if pauses.waited_s > WAIT_S_MAX:
                    await self._park(stored, f"waited too long: {error!r}")
                    return
                if not told and pauses.waited_s > TELL_AFTER_S:
                    told = True
                    await self._tell(self._handler.waits(stored, error))
                await sleep(pauses.next_s(), self._stop)
            else:
                self._trouble.over()
                UPDATES.labels("handled").inc()
                await self._surely(lambda: self._inbox.done(stored.update_id))
                return

    async def _tell_of_flood(self, stored: StoredUpdate) -> None:
        """Once per flood: losses of one chat that are less than FLOOD_REST_S apart."""
        now, chat_id = time.monotonic(), stored.chat_id
        self._told_at = {chat: at for chat, at in self._told_at.items() if now - at < FLOOD_REST_S}
        if chat_id not in self._told_at:
            await self._handler.flooded(stored)
        self._told_at[chat_id] = time.monotonic()

    async def _failed(self, stored: StoredUpdate, error: Exception) -> bool:
        """Count the failure; whether that was the last attempt."""
        reason = f"{type(error).__name__}: {error}"
        UPDATES.labels("failed").inc()
        failures = await self._surely(lambda: self._inbox.failed(stored.update_id, reason))
        if failures == 0:  # deleted, with the person it came from
            return True
        if failures == 1:
            logger.error("update_failed", exc_info=error)
            await self._tell(self._handler.failed(stored, error))
        if failures is not None and failures >= FAILURES_MAX:
            await self._park(stored, reason)
            return True
        await sleep(self._retry_first_s * 3 ** ((failures or 1) - 1), self._stop)
        return False

    async def _park(self, stored: StoredUpdate, reason: str) -> None:
        UPDATES.labels("parked").inc()
        await self._surely(lambda: self._inbox.park(stored.update_id, reason))
        logger.error("update_parked", reason=reason)

    async def _tell(self, words: Awaitable[None]) -> None:
        try:
            await words
        except Exception as error:  # nobody may be there to hear it; the update itself goes on
            logger.warning("person_not_told", reason=f"{type(error).__name__}: {error}"[:300])

    async def _surely(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Ask Postgres until it answers; None when the process ends before."""
        pauses = Pauses()
        while True:
            try:
                return await ask()
            except TRANSIENT as error:
                self._trouble.met(error)
                if self._stop.is_set():
                    return None
                await sleep(pauses.next_s(), self._stop)
