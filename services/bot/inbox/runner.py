"""Runner of one inbox lane: a chat's updates in order, chats side by side, as with other processes.

handled                     deleted
trouble of the surroundings waits and tries again, up to WAIT_S_MAX; the person is told after a moment
handler raised              the person is told and it is logged, both once; tried again; then parked
took its process with it    parked once BEGUN_MAX processes had begun it
left out of a flood         told with the next one of its chat, once per flood

Between two updates of a chat every other chat that waits has one handled: each is claimed anew for every
update. What the surroundings keep us from goes back after GIVE_BACK_S: they may be ours alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

from ledger.postgres import TRANSIENT
from services.adapters.telegram.metrics import UPDATES
from services.bot.inbox.store import Inbox, StoredUpdate
from services.bot.metrics import IN_HAND, handling
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
GIVE_BACK_S: Final = 10.0


class InboxHandler(Protocol):
    """Handler of updates. `waits` and `failed` tell the person; what they raise is only logged."""

    async def handle(self, stored: StoredUpdate) -> None:
        """Handle an update; may see the same one twice."""

    def is_transient(self, error: BaseException, waited_s: float) -> bool:
        """Whether the surroundings are to blame and waiting helps. It has waited for `waited_s`."""

    async def flooded(self, stored: StoredUpdate) -> None:
        """Said before `stored` is handled: earlier ones of its chat were left out. May raise as `handle`."""

    async def waits(self, stored: StoredUpdate, error: BaseException) -> None:
        """The surroundings are in trouble: the answer will be late."""

    async def failed(self, stored: StoredUpdate, error: BaseException) -> None:
        """Handling raised: there may be no answer."""


class InboxRunner:
    """Handles one lane of the inbox until told to stop. Any number of them, one per lane and process."""

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
        self._retry_first_s = retry_first_s
        self._chats_at_once = chats_at_once
        self._slots = asyncio.Semaphore(chats_at_once)
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting = 0
        self._in_vain: set[int] = set()
        """Chats given back since an update was last handled."""
        self._trouble = OutageLog("handling updates")

    def wake(self) -> None:
        self._wake.set()

    def status(self) -> int:
        """Updates in hand, each of another chat."""
        return len(self._tasks)

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
            IN_HAND.labels("urgent" if self._urgent else "ordinary").set(len(self._tasks))
            # In vain for more than one chat: others come first, should they fare better.
            await sleep(POLL_S, stop, self._wake if len(self._in_vain) < 2 else None)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _take(self) -> None:
        free = min(self._chats_at_once - len(self._tasks) + self._resting, IN_HAND_MAX - len(self._tasks))
        if free <= 0:
            return
        for stored in await self._inbox.take(self._urgent, free):
            task = asyncio.create_task(self._run_chat(stored), name=f"chat-{stored.chat_id}")
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _run_chat(self, stored: StoredUpdate) -> None:
        clear_contextvars()  # what handlers bind, e.g. the account, is in every line about this update
        bind_contextvars(update_id=stored.update_id)
        try:
            if await self._settle(stored):
                return
        except Exception:  # a bug here must not take the whole inbox down; the update is taken in hand again
            logger.exception("chat_failed", chat_id=stored.chat_id)
            await self._rest(self._retry_first_s)
        await self._give_back(stored)

    async def _settle(self, stored: StoredUpdate) -> bool:
        """Handle or park the update; False when it has to go back."""
        handling(stored.age_s, behind_own=stored.behind_own)
        if stored.begun > BEGUN_MAX:
            return await self._park(stored, f"{stored.begun - 1} processes ended while handling it")
        pauses, told, flooded = Pauses(), stored.troubled_s > 0, stored.dropped > 0
        before_s = stored.troubled_s
        while not self._stop.is_set():
            try:
                async with self._slots:
                    if flooded:
                        await self._tell_of_flood(stored)
                        flooded = False
                    await self._handler.handle(stored)
            except Exception as error:  # sorted below: wait, try again, or park
                waited_s = before_s + pauses.waited_s
                if not self._handler.is_transient(error, waited_s):
                    if (over := await self._failed(stored, error)) is not None:
                        return over
                    before_s, pauses, told = waited_s, Pauses(), False
                    continue
                self._trouble.met(error)
                if waited_s > WAIT_S_MAX:
                    return await self._park(stored, f"waited too long: {error!r}")
                if not told and waited_s > TELL_AFTER_S:
                    told = True
                    await self._tell(self._handler.waits(stored, error))
                if pauses.waited_s > GIVE_BACK_S:
                    self._in_vain.add(stored.chat_id)
                    await self._give_back(stored, waited_s)
                    return True
                await self._rest(pauses.next_s())
            else:
                self._trouble.over()
                self._in_vain.clear()
                UPDATES.labels("handled").inc()
                await self._surely(lambda: self._inbox.done(stored))
                return True
        return False

    async def _rest(self, seconds: float) -> None:
        """Sleep without a place: another chat may have it meanwhile."""
        self._resting += 1
        self._wake.set()
        try:
            await sleep(seconds, self._stop)
        finally:
            self._resting -= 1

    async def _tell_of_flood(self, stored: StoredUpdate) -> None:
        """Once per flood, by whichever process."""
        if not stored.flood_told:
            await self._handler.flooded(stored)
        await self._surely(lambda: self._inbox.flood_told(stored))

    async def _failed(self, stored: StoredUpdate, error: Exception) -> bool | None:
        """Count the failure; None: to be tried again, else as `_settle`."""
        reason = f"{type(error).__name__}: {error}"
        UPDATES.labels("failed").inc()
        failures = await self._surely(lambda: self._inbox.failed(stored.update_id, reason))
        if failures == 0:  # deleted, with the person it came from
            return False
        if failures == 1:
            logger.error("update_failed", exc_info=error)
            await self._tell(self._handler.failed(stored, error))
        if failures is not None and failures >= FAILURES_MAX:
            return await self._park(stored, reason)
        await self._rest(self._retry_first_s * 3 ** ((failures or 1) - 1))
        return None

    async def _park(self, stored: StoredUpdate, reason: str) -> bool:
        UPDATES.labels("parked").inc()
        await self._surely(lambda: self._inbox.park(stored, reason))
        logger.error("update_parked", reason=reason)
        return True

    async def _give_back(self, stored: StoredUpdate, troubled_s: float = 0.0) -> None:
        await self._surely(lambda: self._inbox.give_back(stored, troubled_s))

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
