"""What an event says, in a few words for people; ids with columns of their own are left out. Pure."""

from datetime import UTC, datetime
from typing import assert_never

from events.account import (
    AccountForgotten,
    AccountOpened,
    CreditsCharged,
    CreditsExpired,
    CreditsGranted,
    CreditsRefunded,
    CreditsRestored,
    CreditsRevoked,
    InvitationRewarded,
    Paid,
    Part,
    TermsAccepted,
)
from events.codec import Event
from events.job import (
    DeadLetterDropped,
    Failure,
    JobFailed,
    JobHandedBack,
    JobQueued,
    JobReissued,
    JobRequeued,
    JobStarted,
    JobSucceeded,
    PromptWritten,
    RetryScheduled,
    SubmissionAccepted,
    SubmissionFailed,
    SubmissionIntended,
    Video,
    VideoGifted,
)
from events.payment import (
    PaymentCancelled,
    PaymentCreated,
    PaymentEvent,
    PaymentExpired,
    PaymentFlagged,
    PaymentOrdered,
    PaymentRefunded,
    PaymentSucceeded,
    RefundFailed,
    RefundIntended,
)
from events.promo import PromoCreated, PromoDisabled, PromoEvent, PromoRedeemed

_WHOLE = {"XTR", "JPY", "KRW", "VND", "CLP"}
"""Currencies without a smaller unit; XTR is Telegram's Stars."""

AccountCredits = (
    CreditsGranted | CreditsCharged | CreditsRefunded | CreditsRevoked | CreditsRestored | CreditsExpired
)


def words_of(event: Event) -> str:
    """One line."""
    match event:
        case AccountOpened() | TermsAccepted() | InvitationRewarded() | AccountForgotten():
            return _account(event)
        case (
            CreditsGranted()
            | CreditsCharged()
            | CreditsRefunded()
            | CreditsRevoked()
            | CreditsRestored()
            | CreditsExpired()
        ):
            return _credits(event)
        case JobQueued():
            numbered = f" {event.number} of {event.of}" if event.of > 1 else ""
            again = f", {event.requeue_of} again" if event.requeue_of else ""
            until = _clock(event.deadline_at_us)
            return f"job{numbered} queued: {event.style}, {event.model}{again}, until {until}"
        case JobStarted():
            return f"run {event.run} by {event.worker}"
        case PromptWritten():
            return f"prompt by {event.source}" + (f": {event.reason}" if event.reason else "")
        case SubmissionIntended():
            return f"submission {event.submission} announced, provider account {event.provider_account}"
        case SubmissionAccepted():
            return f"submission {event.submission} is the provider's task {event.task}"
        case SubmissionFailed():
            return f"submission {event.submission} failed: {_failure(event.failure)}"
        case RetryScheduled():
            return f"next submission from {_clock(event.at_us)} on"
        case JobHandedBack():
            return f"run {event.run} handed the job back"
        case JobReissued():
            return "given to the workers once more: its stream entry was in nobody's hands"
        case JobSucceeded():
            return f"video stored: {_video(event.video)}"
        case JobFailed():
            return f"failed by {event.by}: {_failure(event.failure)}"
        case VideoGifted():
            return f"late video, given free: {_video(event.video)}"
        case JobRequeued():
            price = _count(event.price) if event.price else "free"
            return f"made again as {event.as_job}, {price}: {event.reason}, by {event.actor}"
        case DeadLetterDropped():
            return f"left at that: {event.reason}, by {event.actor}"
        case PromoCreated() | PromoDisabled() | PromoRedeemed():
            return _promo(event)
        case _:
            return _payment(event)


def _account(event: AccountOpened | TermsAccepted | InvitationRewarded | AccountForgotten) -> str:
    match event:
        case AccountOpened():
            return f"account opened ({event.origin})" + f", invited by {event.invited_by}" * bool(
                event.invited_by
            )
        case InvitationRewarded():
            why = f"video {event.job}" if event.job else "purchase"
            both = f"{event.credits} credits here, {event.inviter_credits} to {event.inviter}"
            return f"invitation rewarded after the first {why}: {both}"
        case TermsAccepted():
            return f"terms {event.terms} accepted"
        case AccountForgotten():
            return "who it was is forgotten"
        case _ as never:
            assert_never(never)


def _promo(event: PromoEvent) -> str:
    match event:
        case PromoCreated():
            until = "" if event.expires_at_us is None else f", until {_clock(event.expires_at_us)}"
            gives = f"{_count(event.amount)} for each of {event.uses_max}"
            return f"code {event.code} gives {gives}{until}: {event.reason}, by {event.actor}"
        case PromoDisabled():
            return f"code disabled: {event.reason}, by {event.actor}"
        case PromoRedeemed():
            return f"code used by account {event.account}"
        case _ as never:
            assert_never(never)


def _payment(event: PaymentEvent) -> str:
    match event:
        case PaymentOrdered():
            price = money(Paid(event.amount_minor, event.currency))
            marks = ", test" * event.test + ", restored from the provider's record" * event.restored
            return f"{event.package} ordered: {_count(event.credits)} for {price} by {event.provider}{marks}"
        case PaymentCreated():
            return f"the provider knows it as {event.provider_payment}"
        case PaymentSucceeded():
            return f"paid: {money(Paid(event.amount_minor, event.currency))}, {event.provider_payment}"
        case PaymentCancelled():
            return f"cancelled by {event.party}: {event.reason}"
        case PaymentExpired():
            return f"given up: {event.reason}"
        case PaymentFlagged():
            paid = money(Paid(event.amount_minor, event.currency))
            return f"flagged, {event.problem} differs: {paid}, {event.provider_payment}; nothing is credited"
        case RefundIntended():
            back = money(Paid(event.amount_minor, event.currency))
            said = f"{event.reason}, by {event.actor}"
            return f"refund of {back} begun, {_count(event.credits)} reserved for it: {said}"
        case RefundFailed():
            return f"refund failed, {_count(event.credits)} come back: {event.reason}"
        case PaymentRefunded():
            back = money(Paid(event.amount_minor, event.currency))
            begun = "" if event.refund else ", not begun here"
            return f"{back} went back for {_count(event.credits)}, {event.provider_refund}{begun}"
        case _ as never:
            assert_never(never)


def _credits(event: AccountCredits) -> str:
    match event:
        case CreditsGranted():
            by = f", by {event.actor}" if event.actor else ""
            paid = f", paid {money(event.paid)}" if event.paid else ""
            until = f", until {day(event.expires_at_us)}" if event.expires_at_us is not None else ""
            settled = f", {event.settled} of them against what was owed" if event.settled else ""
            return f"{_count(event.amount)}, {event.kind}: {event.reason}{paid}{until}{settled}{by}"
        case CreditsCharged():
            return f"{_count(event.amount)}{_lots(event.parts, 'from')}"
        case CreditsRefunded():
            settled = f", {event.settled} of them against what was owed" if event.settled else ""
            return f"{_count(event.amount)} back{_lots(event.parts, 'to')}: {event.reason}{settled}"
        case CreditsRevoked():
            by = f", by {event.actor}" if event.actor else ""
            return f"{_count(event.amount)} taken back{_lots(event.parts, 'from')}: {event.reason}{by}"
        case CreditsRestored():
            settled = f", {event.settled} of them against what was owed" if event.settled else ""
            where = _lots(event.parts, "to")
            return f"{_count(event.amount)} back{where}: refund {event.reference} failed{settled}"
        case CreditsExpired():
            return f"{_count(event.amount)} of lot {event.lot} ({event.kind}) expired"
        case _ as never:
            assert_never(never)


def _count(credits: int) -> str:
    return "1 credit" if credits == 1 else f"{credits} credits"


def money(paid: Paid) -> str:
    """`49900 RUB minor units` as `499.00 RUB`."""
    if paid.currency in _WHOLE:
        return f"{paid.amount_minor} {paid.currency}"
    return f"{paid.amount_minor // 100}.{paid.amount_minor % 100:02d} {paid.currency}"


def day(time_us: int) -> str:
    """The date in UTC."""
    return _utc(time_us, "%Y-%m-%d")


def _clock(time_us: int) -> str:
    return _utc(time_us, "%H:%M:%S")


def _utc(time_us: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # events may hold any number
        return f"{time_us} us"


def _lots(parts: tuple[Part, ...], word: str) -> str:
    named = ", ".join(f"{part.amount} {word} lot {part.lot} ({part.kind})" for part in parts)
    if len(parts) == 1:
        named = f"{word} lot {parts[0].lot} ({parts[0].kind})"
    return f", {named}" if len(parts) > 1 else f" {named}" if named else ""


def _failure(failure: Failure) -> str:
    outside = " ".join(part for part in (failure.code, failure.message) if part)
    return failure.error_class + (f" ({outside})" if outside else "")


def _video(video: Video) -> str:
    return f"{video.blob}, {video.size_bytes / 1e6:.1f} MB"
