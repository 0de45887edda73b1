"""A till: buyers, the desk, and YooKassa's sandbox over real HTTP, with the comparison that an auditor makes.

Everything but the provider's side is what the services are made of.
"""

import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from ledger import commands as c
from ledger.log.ledger import Ledger
from projections.verify.run import check_ledger
from services.adapters.yookassa.gateway import YooKassa
from services.payments.follow_up import FollowUp
from services.payments.orders import PaymentOrders
from services.payments.reconciliation import Reconciliation
from services.payments.refunds import Refunds
from services.payments.tracking_store import TrackingStore
from services.payments.yookassa import YooKassaPayments
from services.platform.settings import Settings, load_settings
from services.sandbox import control, yookassa
from services.sandbox.app import Clock
from tests.support.outside import Outside, outside

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

MODULES = {"/yookassa": yookassa.routes, "/__sandbox": control.routes}
_BUYERS = itertools.count(1)
_CHATS = itertools.count(8000)


def payment_settings(database_url: str, sandbox_url: str, **changes: Any) -> Settings:
    """Settings of a shop in the sandbox; impatient."""
    fields: dict[str, Any] = {
        "yookassa_read_seconds": 0.5,
        "yookassa_connect_seconds": 1,
        "sandbox_url": sandbox_url,
        "database_url": database_url,
    }
    return load_settings(**(fields | changes))


class Money(msgspec.Struct, frozen=True):
    """What one payment of the provider's came to: sums in kopecks, credits as the ledger moved them."""

    paid_minor: int
    refunded_minor: int
    credits: int
    revoked: int


class PaymentFixture:
    """One process's desk, and a hand on the sandbox."""

    def __init__(
        self, settings: Settings, ledger: Ledger, pool: "Pool", shop: YooKassa, sandbox: Outside
    ) -> None:
        self.settings = settings
        self.ledger = ledger
        self.pool = pool
        self.shop = shop
        self.sandbox = sandbox
        self.links = TrackingStore(pool, first_look_s=0)
        self.desk = PaymentOrders(settings, ledger, pool, links=self.links)
        self.yookassa = YooKassaPayments(self.desk, shop)
        self.refunds = Refunds(self.desk, self.yookassa)
        self.watching = FollowUp(self.yookassa)
        self.comparison = Reconciliation(pool, self.desk, self.yookassa)

    async def buyer(self) -> str:
        """An account that may buy."""
        account = f"buyer{next(_BUYERS)}"
        person = "INSERT INTO accounts (account, telegram_id) VALUES ($1, $2)"
        await self.pool.execute(person, account, next(_CHATS))
        await self.ledger.execute(c.OpenAccount(account, "0" * 64), key=f"open:{account}")
        await self.ledger.execute(c.AcceptTerms(account, "1", 0), key=f"terms:{account}")
        return account

    async def order(self, account: str | None = None, package: str = "credits-5", **more: Any) -> str:
        """An ordered payment that the provider does not know yet."""
        return await self.desk.order(account or await self.buyer(), package, "yookassa", locale="ru", **more)

    async def pending(self, account: str | None = None, package: str = "credits-5") -> str:
        """A payment with a link to pay at."""
        payment = await self.order(account, package)
        assert (await self.yookassa.make(payment)).confirmation_url
        return payment

    async def press(self, payment: str, action: str = "pay") -> None:
        """What the payer does on the provider's page."""
        link = await self.links.link(payment)
        assert link is not None and link.confirmation_url
        async with self.sandbox.http.post(
            link.confirmation_url, data={"action": action}, allow_redirects=False
        ) as reply:
            assert reply.status == 303

    async def paid(self, account: str | None = None, package: str = "credits-5") -> str:
        """A payment that is paid and credited."""
        payment = await self.pending(account, package)
        await self.press(payment)
        assert (await self.yookassa.check(payment)).standing == "paid"
        return payment

    async def provider_payment(self, payment: str) -> str:
        """The provider's id of it, from the provider's book."""
        (found,) = [p["id"] for p in self.book()["payments"] if p["metadata"].get("order_id") == payment]
        return str(found)

    def book(self) -> dict[str, Any]:
        """The provider's own."""
        return yookassa.book(self.sandbox.ctx)

    def rewrite(self, provider_payment: str, **changes: Any) -> None:
        """Change what the provider says of a payment."""
        doc = self.sandbox.ctx.store.get("yookassa_payment", provider_payment)
        assert doc is not None
        doc["shown"] |= changes
        self.sandbox.ctx.store.put("yookassa_payment", provider_payment, doc)

    async def credits_are_money(self) -> dict[str, Money]:
        """Check that the ledger's credits are what the provider's book says they must be; what that is.

        Independent of the rules that made the events: it reads the provider's book and adds up events. The
        auditor's own checks of the log must be content as well.
        """
        expected = await self._by_the_book()
        found = await self._by_the_ledger()
        assert found == expected
        assert await self.pool.fetch("SELECT * FROM audit.unsettled_payments") == []
        assert await check_ledger(self.pool) == []
        return found

    async def _by_the_book(self) -> dict[str, Money]:
        ordered = {
            row["payment"]: msgspec.json.decode(row["data"])
            for row in await self.pool.fetch(
                "SELECT substr(stream, 9) AS payment, data::text FROM events WHERE type = 'PaymentOrdered'"
            )
        }
        book, expected = self.book(), {}
        refunds: dict[str, int] = defaultdict(int)
        for refund in book["refunds"]:
            refunds[refund["payment_id"]] += _kopecks(refund["amount"])
        for shown in book["payments"]:
            order = ordered.get(shown["metadata"].get("order_id", ""))
            if order is None or shown["status"] != "succeeded" or not _fits(order, shown):
                continue
            paid, back = _kopecks(shown["amount"]), refunds[shown["id"]]
            revoked = (2 * order["credits"] * back + paid) // (2 * paid)
            expected[shown["id"]] = Money(paid, back, order["credits"], revoked)
        return expected

    async def _by_the_ledger(self) -> dict[str, Money]:
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        failed: dict[str, int] = {}
        intents: dict[str, str] = {}
        for row in await self.pool.fetch("SELECT type, data::text FROM events ORDER BY position"):
            data = msgspec.json.decode(row["data"])
            reference = (data.get("reference") or "").removeprefix("yookassa:")
            match row["type"]:
                case "PaymentSucceeded":
                    sums[data["provider_payment"]][0] += data["amount_minor"]
                case "PaymentRefunded" if data["provider_payment"] in sums:
                    sums[data["provider_payment"]][1] += data["amount_minor"]
                case "RefundIntended":
                    intents[data["refund"]] = data["provider_payment"]
                case "CreditsRestored":
                    failed[reference] = data["amount"]
                case "CreditsGranted" if data["kind"] == "purchase":
                    sums[reference][2] += data["amount"]
                case "CreditsRevoked" if data["kind"] == "payment":
                    sums[reference][3] += data["amount"]
                case _:
                    pass
        for refund, amount in failed.items():
            sums[intents[refund]][3] -= amount
        return {name: Money(*columns) for name, columns in sums.items()}


@asynccontextmanager
async def till(
    settings: Settings, ledger: Ledger, pool: "Pool", sandbox: Outside
) -> AsyncIterator[PaymentFixture]:
    """A till at this sandbox."""
    async with YooKassa(settings) as shop:
        yield PaymentFixture(settings, ledger, pool, shop, sandbox)


@asynccontextmanager
async def running_sandbox() -> AsyncIterator[Outside]:
    """YooKassa alone, in real time."""
    async with outside(MODULES, clock=Clock()) as sandbox:
        yield sandbox


def _kopecks(amount: dict[str, str]) -> int:
    rubles, _, kopecks = amount["value"].partition(".")
    return int(rubles) * 100 + int(kopecks)


def _fits(order: dict[str, Any], shown: dict[str, Any]) -> bool:
    asked = (order["amount_minor"], order["currency"], order["shop"], order["test"], order["account"])
    came = (_kopecks(shown["amount"]), shown["amount"]["currency"], shown["recipient"]["account_id"])
    return asked == (*came, shown["test"], shown["metadata"].get("account"))
