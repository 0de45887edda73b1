"""The causal chain of a video: payment → grant → charge → attempts → task → video or refund → message. Pure.

`causes` reads what is needed; here it becomes steps in order, with the time that passed between them.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from events.account import CreditsGranted, CreditsRevoked
from events.codec import Event, decode
from events.envelope import Recorded
from events.payment import PaymentSucceeded, RefundIntended
from events.stream_names import account_of, job_of, payment_of
from projections.reports.event_text import money, words_of

Kind = Literal["job", "order", "payment", "grant", "charge", "event"]

STAGES: Final = {
    "AccountOpened": "account",
    "TermsAccepted": "account",
    "AccountForgotten": "account",
    "CreditsGranted": "grant",
    "CreditsCharged": "charge",
    "CreditsRefunded": "refund",
    "CreditsRevoked": "revocation",
    "CreditsRestored": "refund",
    "CreditsExpired": "expiry",
    "JobQueued": "order",
    "JobStarted": "attempt",
    "PromptWritten": "attempt",
    "SubmissionIntended": "attempt",
    "SubmissionAccepted": "task",
    "SubmissionFailed": "attempt",
    "RetryScheduled": "attempt",
    "JobHandedBack": "attempt",
    "JobSucceeded": "video",
    "JobFailed": "failure",
    "VideoGifted": "video",
    "JobReissued": "attempt",
    "JobRequeued": "requeue",
    "DeadLetterDropped": "failure",
    "InvitationRewarded": "grant",
    "PromoCreated": "promo",
    "PromoDisabled": "promo",
    "PromoRedeemed": "promo",
    "PaymentOrdered": "order",
    "PaymentCreated": "payment",
    "PaymentSucceeded": "payment",
    "PaymentCancelled": "payment",
    "PaymentExpired": "payment",
    "PaymentFlagged": "payment",
    "RefundIntended": "refund",
    "RefundFailed": "refund",
    "PaymentRefunded": "refund",
}
"""What each event is in the chain; an event type that is not here is a stage of its own."""


class Message(msgspec.Struct, frozen=True):
    """What the chat is owed for a job, as the notifier keeps it. Times are epoch microseconds."""

    job: str
    kind: str
    account: str
    order: str
    state: str
    attempts: int
    message_id: int | None
    last_error: str | None
    owed_at_us: int
    settled_at_us: int | None


class Step(msgspec.Struct, frozen=True):
    """One step. `position` is None for what is not an event: a payment outside, a message to the chat."""

    stage: str
    at_us: int
    what: str
    type: str = ""
    position: int | None = None
    account: str | None = None
    job: str | None = None
    order: str | None = None
    reference: str | None = None
    data: str | None = None


class Chain(msgspec.Struct, frozen=True):
    """What `id` names, and its steps in order. `left_out` jobs more drew from the same grants."""

    kind: Kind
    id: str
    steps: tuple[Step, ...]
    left_out: int = 0

    @property
    def jobs(self) -> tuple[str, ...]:
        """The jobs in the chain, in the order they first appear."""
        return tuple(dict.fromkeys(step.job for step in self.steps if step.job is not None))


def chain_of(
    kind: Kind, name: str, events: Iterable[Recorded], messages: Sequence[Message] = (), left_out: int = 0
) -> Chain:
    """The chain of these events (in any order, doubled or not) and messages. Raises UnknownEventTypeError."""
    steps: list[Step] = []
    by_position = {event.position: event for event in events}
    orders: dict[str, str] = {}
    owners: dict[str, str] = {}
    payers: dict[str, str] = {}
    decoded = [(recorded, decode(recorded)) for recorded in by_position.values()]
    known = {_reference(event) for _, event in decoded}
    for recorded, event in decoded:
        if (paid := _payment(recorded, event)) and paid.reference not in known:
            steps.append(paid)
        step = _step(recorded, event)
        steps.append(step)
        if step.job is not None and step.order is not None:
            orders[step.job] = step.order
        if step.job is not None and step.account is not None:
            owners[step.job] = step.account
        if (payment := payment_of(recorded.stream)) is not None and step.account is not None:
            payers[payment] = step.account
    for n, step in enumerate(steps):
        if step.job is not None:
            order, account = step.order or orders.get(step.job), step.account or owners.get(step.job)
            steps[n] = replace(step, order=order, account=account)
        elif step.account is None and step.reference is not None:
            steps[n] = replace(step, account=payers.get(step.reference))
    steps += [_told(message) for message in messages]
    return Chain(kind, name, tuple(sorted(steps, key=_when)), left_out)


def _when(step: Step) -> tuple[int, int, int]:
    """A payment outside comes right before its grant, a message after the events of its moment."""
    rank = 2 if step.stage == "message" else 1 if step.position is not None else 0
    return step.at_us, rank, step.position or 0


def _step(recorded: Recorded, event: Event) -> Step:
    return Step(
        STAGES.get(recorded.type, recorded.type),
        recorded.recorded_at_us,
        words_of(event),
        recorded.type,
        recorded.position,
        account_of(recorded.stream) or getattr(event, "account", None),
        job_of(recorded.stream) or getattr(event, "job", None),
        getattr(event, "order", None),
        getattr(event, "reference", None) or payment_of(recorded.stream),
        recorded.data,
    )


def _reference(event: Event) -> str | None:
    """What grants and revocations call it that go with it."""
    match event:
        case PaymentSucceeded():
            return f"{event.provider}:{event.provider_payment}"
        case RefundIntended():
            return event.refund
        case _:
            return None


def _payment(recorded: Recorded, event: Event) -> Step | None:
    """The money that a grant or revocation names, and the log does not: it moved before, outside."""
    if not isinstance(event, CreditsGranted | CreditsRevoked) or event.reference is None:
        return None
    what = event.reference
    if isinstance(event, CreditsGranted) and event.paid is not None:
        what += f", {money(event.paid)}"
    if isinstance(event, CreditsRevoked):
        what += " came back"
    account = account_of(recorded.stream)
    return Step("payment", recorded.recorded_at_us, what, account=account, reference=event.reference)


def _told(message: Message) -> Step:
    subject = {"video": "the video", "gift": "the late video", "failure": "why there is no video"}
    said = subject.get(message.kind, message.kind)
    tries = f", {message.attempts} attempts" if message.attempts > 1 else ""
    why = f": {message.last_error}" if message.last_error else ""
    match message.state:
        case "sent":
            what = f"sent to the chat: {said}, message {message.message_id}{tries}"
        case "pending" | "sending":
            what = f"owed to the chat, {message.state}: {said}{tries}{why}"
        case state:
            what = f"not sent to the chat, {state}: {said}{tries}{why}"
    at_us = message.settled_at_us if message.settled_at_us is not None else message.owed_at_us
    return Step("message", at_us, what, account=message.account, job=message.job, order=message.order)
