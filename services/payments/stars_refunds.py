"""Stars that go back on an operator's word: reserved first, sent, recorded, as YooKassa's are (`refunds`).

Telegram gives a charge back as a whole, and once: asking again says that it has been done, so that an unknown
outcome is found out by the same call. Who has paid is found in Telegram's own list, when the order's owner is
erased or has not paid it.
"""

import contextlib

import structlog

from ledger.errors import KeyReusedError
from ledger.payments.commands import FailRefund, key_of
from services.accounts.personal_data import PersonalData
from services.adapters.telegram import stars
from services.adapters.telegram.stars import NotRefundableError, StarMovement, StarsNoAnswerError
from services.payments.errors import NothingToRefundError
from services.payments.metrics import alarm
from services.payments.refunds import RefundPlan, Sent, plan_refund, reserve
from services.payments.stars import StarsPayments

logger = structlog.get_logger()


class StarsRefunds:
    """Refunds of payments in Stars; its methods are those of YooKassaRefunds."""

    def __init__(self, desk: StarsPayments, people: PersonalData) -> None:
        self._stars = desk
        self._desk = desk.desk
        self._people = people

    async def plan(
        self, payment: str, credits: int | None = None, *, refund: str | None = None
    ) -> RefundPlan:
        """What sending all of a charge back would do. Raises NothingToRefundError, also for a part."""
        plan = await plan_refund(self._desk, payment, None, refund)
        if credits is not None and credits != plan.credits:
            raise NothingToRefundError(
                f"Stars go back as a whole: {plan.credits} credits of payment {payment}"
            )
        return plan

    async def carry_out(self, plan: RefundPlan, *, actor: str, reason: str) -> Sent:
        """Reserve the credits and send the Stars. `unknown`: `follow` goes on until it is known."""
        await reserve(self._desk, plan, "stars", actor=actor, reason=reason)
        return await self.follow(plan.payment, plan.refund)

    async def follow(self, payment: str, refund: str) -> Sent:
        """Go on with an intended refund, from wherever it stopped. `over`: somebody else came to its end.

        `absent`: it is not in the ledger; its process died before, or has not come that far.
        """
        state = await self._desk.ledger.read.payment(payment)
        intent = next((intent for intent in state.intents if intent.refund == refund), None)
        if intent is None or state.ordered is None:
            if refund in state.closed:
                await self._desk.links.unwatch(payment, refund)
                return "over"
            return "absent"
        try:
            await self._send_back(state.ordered.account, intent.provider_payment)
        except StarsNoAnswerError as error:
            logger.warning("refund_unknown", payment=payment, refund=refund, error=str(error))
            return "unknown"
        except NotRefundableError as error:
            life_s = self._desk.settings.refund_life_seconds
            command = FailRefund(payment, state.ordered.account, refund, str(error), life_s)
            with contextlib.suppress(KeyReusedError):  # somebody was faster, in other words
                await self._desk.ledger.execute(command, key=key_of(command))
            await self._desk.links.unwatch(payment, refund)
            alarm("refund_failed", payment=payment, refund=refund, reason=str(error))
            return "refused"
        await self._stars.record_refund(payment, intent.provider_payment, intent.amount_minor)
        return "refunded"

    async def _send_back(self, account: str, charge: str) -> None:
        """To the order's owner, or else to whom Telegram's list names. Raises StarsError."""
        person = await self._people.find(account)
        if person is not None:
            with contextlib.suppress(NotRefundableError):  # perhaps somebody else has paid the invoice
                return await stars.refund(self._stars.bot, person.telegram_id, charge)
        async for movement in stars.movements(self._stars.bot, 0):
            if isinstance(movement, StarMovement) and movement.charge == charge:
                return await stars.refund(self._stars.bot, movement.user_id, charge)
        raise NotRefundableError("Telegram's list has no such charge")
