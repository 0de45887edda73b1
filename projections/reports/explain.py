"""Causal chain: payment → grant → charge → attempts → task → video → message."""

from collections.abc import Iterable, Sequence
from gettext import NullTranslations
from typing import Literal

import msgspec
from msgspec.structs import replace

from events.account import CreditsCharged, CreditsExpired, CreditsGranted, CreditsRevoked
from events.codec import Event, decode
from events.envelope import Recorded
from events.payment import PaymentSucceeded, RefundIntended
from events.stream_names import account_of, account_stream, job_of, payment_of
from ledger.postgres import Reader
from ledger.sql import load_queries
from projections.engine.errors import NothingOfThatNameError
from projections.reports.event_text import ENGLISH, describe, describe_stored, money

query = load_queries("projections.reports")

ID_CHARS_MAX = 190
JOBS_MAX = 50
"""Of one payment or grant; an order has no more than this."""

_POSITION_DIGITS_MAX = 18

Kind = Literal["job", "order", "payment", "grant", "charge", "event"]


class Message(msgspec.Struct, frozen=True):
    """Notification for a job, as the notifier keeps it. Times are epoch microseconds."""

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
    """One step. `position` is None outside the log: a payment, a message. `ref`: of a company's words."""

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
    ref: str = ""
    message: Message | None = None

    def told(self, texts: NullTranslations) -> str:
        """`what` in another language; a payment outside the log is a reference, in any."""
        if self.message is not None:
            return _what_became(self.message, texts)
        return self.what if self.data is None else describe_stored(self.type, self.data, texts)


class Chain(msgspec.Struct, frozen=True):
    """Steps of `id` in order. `left_out` more jobs drew from the same grants."""

    kind: Kind
    id: str
    steps: tuple[Step, ...]
    left_out: int = 0

    @property
    def jobs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(step.job for step in self.steps if step.job is not None))


def chain_of(
    kind: Kind, name: str, events: Iterable[Recorded], messages: Sequence[Message] = (), left_out: int = 0
) -> Chain:
    """Chain of events (unordered, maybe doubled) and messages. Raises UnknownEventTypeError."""
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
    """Order: a payment outside before its grant, a message after events of its moment."""
    rank = 2 if step.stage == "message" else 1 if step.position is not None else 0
    return step.at_us, rank, step.position or 0


def _step(recorded: Recorded, event: Event) -> Step:
    return Step(
        event.stage,
        recorded.recorded_at_us,
        describe(event),
        recorded.type,
        recorded.position,
        account_of(recorded.stream) or getattr(event, "account", None),
        job_of(recorded.stream) or getattr(event, "job", None),
        getattr(event, "order", None),
        getattr(event, "reference", None) or payment_of(recorded.stream),
        recorded.data,
        getattr(getattr(event, "failure", None), "ref", ""),
    )


def _reference(event: Event) -> str | None:
    match event:
        case PaymentSucceeded():
            return f"{event.provider}:{event.provider_payment}"
        case RefundIntended():
            return event.refund
        case _:
            return None


def _payment(recorded: Recorded, event: Event) -> Step | None:
    if not isinstance(event, CreditsGranted | CreditsRevoked) or event.reference is None:
        return None
    what = event.reference
    if isinstance(event, CreditsGranted) and event.paid is not None:
        what += f", {money(event.paid)}"
    if isinstance(event, CreditsRevoked):
        what += " came back" + (f", {money(event.returned)}" if event.returned else "")
    account = account_of(recorded.stream)
    return Step("payment", recorded.recorded_at_us, what, account=account, reference=event.reference)


def _told(message: Message) -> Step:
    at_us = message.settled_at_us if message.settled_at_us is not None else message.owed_at_us
    return Step(
        "message", at_us, _what_became(message, ENGLISH), account=message.account, job=message.job,
        order=message.order, message=message,
    )  # fmt: skip


def _what_became(message: Message, texts: NullTranslations) -> str:
    subject = {
        "video": texts.gettext("the video"),
        "gift": texts.gettext("the late video"),
        "failure": texts.gettext("why there is no video"),
    }
    said = subject.get(message.kind, message.kind)
    n = message.attempts
    after = texts.ngettext(", {n} attempt", ", {n} attempts", n).format(n=n) if n > 1 else ""
    if message.last_error and message.state != "sent":
        after += f": {message.last_error}"
    match message.state:
        case "sent":
            words = texts.gettext("sent to the chat: {what}, message {number}")
        case "pending" | "sending":
            words = texts.gettext("owed to the chat, {state}: {what}")
        case _:
            words = texts.gettext("not sent to the chat, {state}: {what}")
    return words.format(what=said, state=message.state, number=message.message_id) + after


async def explain(reader: Reader, name: str) -> Chain:
    """Chain of any id, payments by our or the provider's. Raises NothingOfThatNameError."""
    name = name.strip()
    if not 0 < len(name) <= ID_CHARS_MAX:
        raise NothingOfThatNameError(f"an id has 1 to {ID_CHARS_MAX} characters")
    if name.isascii() and name.isdigit() and name == str(int(name[:_POSITION_DIGITS_MAX])):
        found = await _events(reader, "event_at", int(name))
        if found:
            return await _of_event(reader, found[0])
    if jobs := await _events(reader, "explain_jobs", [name]):
        return await _of_jobs(reader, "job", name, jobs)
    if jobs := await _events(reader, "explain_jobs", await _jobs_of_order(reader, name)):
        return await _of_jobs(reader, "order", name, jobs)
    if paid := await _events(reader, "explain_payment", name):
        return await _of_grants(reader, "payment", name, paid)
    hint = ""
    if await reader.fetchval("SELECT EXISTS (SELECT FROM events WHERE stream = $1)", account_stream(name)):
        hint = "; it is an account: try `neurocards ledger statement`"
    raise NothingOfThatNameError(f"no job, order, payment or position is called {name!r}{hint}")


async def _of_event(reader: Reader, recorded: Recorded) -> Chain:
    event, name = decode(recorded), str(recorded.position)
    job = job_of(recorded.stream) or getattr(event, "job", None)
    if job is not None:
        jobs = [recorded, *await _events(reader, "explain_jobs", [job])]
        kind: Kind = "charge" if isinstance(event, CreditsCharged) else "job"
        return await _of_jobs(reader, kind, name if kind == "charge" else job, jobs)
    if (payment := payment_of(recorded.stream)) is not None:
        return await _of_grants(reader, "payment", payment, await _events(reader, "explain_payment", payment))
    if isinstance(event, CreditsGranted):
        return await _of_grants(reader, "grant", name, [recorded, *await _payments(reader, [recorded])])
    events = [recorded]
    if isinstance(event, CreditsRevoked) and event.reference is not None:
        events += await _events(reader, "explain_payment", event.reference)
    return chain_of("event", name, [*events, *await _grants(reader, events)])


async def _of_jobs(reader: Reader, kind: Kind, name: str, events: list[Recorded]) -> Chain:
    """Whole jobs with their grants, and those grants' payments."""
    grants = await _grants(reader, events)
    events = [*events, *grants, *await _payments(reader, grants)]
    return chain_of(kind, name, events, await _messages(reader, _jobs(events)))


async def _of_grants(reader: Reader, kind: Kind, name: str, events: list[Recorded]) -> Chain:
    """Grants with all that was drawn from them: whole jobs, revocations, expiries."""
    drawn: list[Recorded] = []
    for recorded in events:
        event = decode(recorded)
        if isinstance(event, CreditsGranted):
            after = (recorded.stream, recorded.version, event.lot, JOBS_MAX * 4)
            drawn += await _events(reader, "explain_drawn", *after)
    jobs = _jobs(drawn)
    left_out = max(len(jobs) - JOBS_MAX, 0)
    shown = set(jobs[:JOBS_MAX])
    kept = [e for e in drawn if not (isinstance(c := decode(e), CreditsCharged) and c.job not in shown)]
    kept += await _events(reader, "explain_jobs", list(shown))
    return chain_of(
        kind, name, [*events, *kept, *await _grants(reader, kept)], await _messages(reader, shown), left_out
    )


async def _grants(reader: Reader, events: Sequence[Recorded]) -> list[Recorded]:
    lots: dict[str, set[int]] = {}
    for recorded in events:
        event = decode(recorded)
        if isinstance(event, CreditsCharged | CreditsRevoked):
            lots.setdefault(recorded.stream, set()).update(part.lot for part in event.parts)
        elif isinstance(event, CreditsExpired):
            lots.setdefault(recorded.stream, set()).add(event.lot)
    found: list[Recorded] = []
    for stream, numbers in lots.items():
        found += await _events(reader, "explain_lots", stream, sorted(numbers))
    return found


async def _payments(reader: Reader, grants: Iterable[Recorded]) -> list[Recorded]:
    found: list[Recorded] = []
    for reference in dict.fromkeys(getattr(decode(grant), "reference", None) for grant in grants):
        if reference is not None:
            found += await _events(reader, "explain_payment", reference)
    return [recorded for recorded in found if payment_of(recorded.stream) is not None]


async def _jobs_of_order(reader: Reader, order: str) -> list[str]:
    return [row["job"] for row in await reader.fetch(query("explain_order"), order)]


async def _messages(reader: Reader, jobs: Iterable[str]) -> list[Message]:
    return [Message(*row) for row in await reader.fetch(query("explain_messages"), list(jobs))]


async def _events(reader: Reader, name: str, *arguments: object) -> list[Recorded]:
    return [Recorded(*row) for row in await reader.fetch(query(name), *arguments)]


def _jobs(events: Iterable[Recorded]) -> list[str]:
    found = (job_of(event.stream) or getattr(decode(event), "job", None) for event in events)
    return list(dict.fromkeys(job for job in found if job is not None))
