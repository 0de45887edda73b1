"""Payments, orders and jobs with every ending, made through the real ledger; the same for the same seed."""

import random

from events.job import Failure, Video
from ledger import commands as c
from ledger.log.ledger import Ledger
from ledger.payments import commands as p

VIDEO = Video("videos/v.mp4", "ab" * 32, 1234)
BUSY = Failure("transient", "500")


class Traffic:
    """Moves accounts and jobs one legal step at a time."""

    def __init__(self, ledger: Ledger, seed: int = 1, prefix: str = "") -> None:
        self._ledger = ledger
        self._random = random.Random(seed)
        self._prefix = prefix
        self._count = 0
        self.accounts: list[str] = []
        self._new: list[str] = []
        self._submitted: list[str] = []
        self._refunded: list[str] = []
        self._owner: dict[str, str] = {}

    async def open_accounts(self, count: int = 3, credits: int = 10_000) -> None:
        """Accounts that can order for a long time."""
        for number in range(count):
            account = f"{self._prefix}a{number}"
            self.accounts.append(account)
            await self._do(c.OpenAccount(account, "0" * 64))
            await self._do(c.AcceptTerms(account, "1", credits))

    async def play(self, steps: int) -> None:
        """So many commands, mixed."""
        if not self.accounts:
            await self.open_accounts()
        for _ in range(steps):
            kind = self._random.randrange(11)
            if kind == 10:
                await self.pay()
            elif kind < 4 or not self._new + self._submitted:
                await self.order(self._random.choice((1, 1, 3)))
            elif kind < 6 and self._new:
                await self._submit(self._take(self._new))
            elif kind < 7 and self._new:
                await self.fail(self._take(self._new))
            elif self._submitted:
                await self._finish(self._take(self._submitted))
            elif self._refunded:
                await self._gift(self._take(self._refunded))
            else:
                await self._do(c.RevokeCredits(self._random.choice(self.accounts), 1, "chargeback"))

    async def order(self, jobs: int = 1) -> list[str]:
        """One order; the names of its jobs."""
        account = self._random.choice(self.accounts)
        self._count += 1
        names = tuple(f"{self._prefix}j{self._count}-{n}" for n in range(jobs))
        order = f"{self._prefix}o{self._count}"
        await self._do(c.OrderVideos(account, order, names, 1, "m", "ugc", "photos/p", "brief", "ru", 900))
        self._new += names
        self._owner |= dict.fromkeys(names, account)
        return list(names)

    async def pay(self) -> None:
        """A payment that comes, and of which maybe a part goes back."""
        account = self._random.choice(self.accounts)
        self._count += 1
        name = f"{self._prefix}p{self._count}"
        terms = ("five", 5, 39_000, "RUB", "1", False, None, "5 videos", "ru")
        await self._do(p.OrderPayment(name, account, "yookassa", *terms))
        await self._do(p.SettlePayment(name, account, "yookassa", f"yk-{name}", 39_000, "RUB", "1", False))
        if self._random.random() < 0.3:
            refund = p.RecordRefund(name, account, "yookassa", f"yk-{name}", f"yr-{name}", 7_800)
            await self._do(refund)

    async def fail(self, job: str) -> None:
        """The job ends without a video and is refunded."""
        await self._do(c.FailJob(job, self._owner[job], "operator", BUSY))
        if job in self._new:
            self._new.remove(job)

    async def finish_all(self) -> None:
        """No job is unfinished any more."""
        for job in [*self._new, *self._submitted]:
            await self.fail(job)
        self._new, self._submitted = [], []

    async def _submit(self, job: str) -> None:
        await self._do(c.StartJob(job, 1, "w1"))
        await self._do(c.RecordPrompt(job, 1, "prompt", "openai", "ugc"))
        await self._do(c.IntendSubmission(job, 1, 1, "key-1", "m"))
        await self._do(c.RecordAccepted(job, 1, f"task-{job}"))
        self._submitted.append(job)

    async def _finish(self, job: str) -> None:
        if self._random.random() < 0.6:
            await self._do(c.SucceedJob(job, 1, 1, VIDEO))
        else:
            await self._do(c.FailSubmission(job, self._owner[job], 1, 1, BUSY))
            self._refunded.append(job)

    async def _gift(self, job: str) -> None:
        await self._do(c.SucceedJob(job, 1, 1, VIDEO))

    def _take(self, names: list[str]) -> str:
        return names.pop(self._random.randrange(len(names)))

    async def _do(self, command: c.Command) -> None:
        self._count += 1
        await self._ledger.execute(command, key=f"{self._prefix}k{self._count}")
