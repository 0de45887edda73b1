"""Events in a few words for people, without ids. Pure."""

from datetime import UTC, datetime
from typing import assert_never

from events import account, job, payment, promo
from events.codec import Event

_WHOLE = {"XTR", "JPY", "KRW", "VND", "CLP"}
"""Currencies without a smaller unit; XTR is Telegram's Stars."""

AccountPlain = (
    account.AccountOpened | account.TermsAccepted | account.InvitationRewarded | account.AccountForgotten
)


def describe(event: Event) -> str:
    """An event in one line."""
    if isinstance(event, account.CreditEvent):
        return _credits(event)
    if isinstance(event, account.AccountEvent):
        return _account(event)
    if isinstance(event, job.JobEvent):
        return _job(event)
    return _promo(event) if isinstance(event, promo.PromoEvent) else _payment(event)


def _job(event: job.JobEvent) -> str:
    match event:
        case job.JobQueued():
            numbered = f" {event.number} of {event.of}" if event.of > 1 else ""
            again = f", {event.requeue_of} again" if event.requeue_of else ""
            until = _clock(event.deadline_at_us)
            return f"job{numbered} queued: {event.style}, {event.model}{again}, until {until}"
        case job.JobStarted():
            return f"run {event.run} by {event.worker}"
        case job.PromptWritten():
            return f"prompt by {event.source}" + (f": {event.reason}" if event.reason else "")
        case job.SubmissionIntended():
            return f"submission {event.submission} announced, provider account {event.provider_account}"
        case job.SubmissionAccepted():
            return f"submission {event.submission} is the provider's task {event.task}"
        case job.SubmissionFailed():
            return f"submission {event.submission} failed: {_failure(event.failure)}"
        case job.RetryScheduled():
            return f"next submission from {_clock(event.at_us)} on"
        case job.JobHandedBack():
            return f"run {event.run} handed the job back"
        case job.JobReissued():
            return "given to the workers once more: its stream entry was in nobody's hands"
        case job.JobSucceeded():
            return f"video stored: {_video(event.video)}"
        case job.JobFailed():
            return f"failed by {event.by}: {_failure(event.failure)}"
        case job.VideoGifted():
            return f"late video, given free: {_video(event.video)}"
        case job.JobRequeued():
            price = _count(event.price) if event.price else "free"
            return f"made again as {event.as_job}, {price}: {event.reason}, by {event.actor}"
        case job.DeadLetterDropped():
            return f"left at that: {event.reason}, by {event.actor}"
        case _ as never:
            assert_never(never)


def _account(event: AccountPlain) -> str:
    match event:
        case account.AccountOpened():
            return f"account opened ({event.origin})" + f", invited by {event.invited_by}" * bool(
                event.invited_by
            )
        case account.InvitationRewarded():
            why = f"video {event.job}" if event.job else "purchase"
            both = f"{event.credits} credits here, {event.inviter_credits} to {event.inviter}"
            return f"invitation rewarded after the first {why}: {both}"
        case account.TermsAccepted():
            return f"terms {event.terms} accepted"
        case account.AccountForgotten():
            return "who it was is forgotten"
        case _ as never:
            assert_never(never)


def _promo(event: promo.PromoEvent) -> str:
    match event:
        case promo.PromoCreated():
            until = "" if event.expires_at_us is None else f", until {_clock(event.expires_at_us)}"
            gives = f"{_count(event.amount)} for each of {event.uses_max}"
            return f"code {event.code} gives {gives}{until}: {event.reason}, by {event.actor}"
        case promo.PromoDisabled():
            return f"code disabled: {event.reason}, by {event.actor}"
        case promo.PromoRedeemed():
            return f"code used by account {event.account}"
        case _ as never:
            assert_never(never)


def _payment(event: payment.PaymentEvent) -> str:
    match event:
        case payment.PaymentOrdered():
            price = money(account.Paid(event.amount_minor, event.currency))
            marks = ", test" * event.test + ", restored from the provider's record" * event.restored
            return f"{event.package} ordered: {_count(event.credits)} for {price} by {event.provider}{marks}"
        case payment.PaymentCreated():
            return f"the provider knows it as {event.provider_payment}"
        case payment.PaymentSucceeded():
            return (
                f"paid: {money(account.Paid(event.amount_minor, event.currency))}, {event.provider_payment}"
            )
        case payment.PaymentCancelled():
            return f"cancelled by {event.party}: {event.reason}"
        case payment.PaymentExpired():
            return f"given up: {event.reason}"
        case payment.PaymentFlagged():
            paid = money(account.Paid(event.amount_minor, event.currency))
            return f"flagged, {event.problem} differs: {paid}, {event.provider_payment}; nothing is credited"
        case payment.RefundIntended():
            back = money(account.Paid(event.amount_minor, event.currency))
            said = f"{event.reason}, by {event.actor}"
            return f"refund of {back} begun, {_count(event.credits)} reserved for it: {said}"
        case payment.RefundFailed():
            return f"refund failed, {_count(event.credits)} come back: {event.reason}"
        case payment.PaymentRefunded():
            back = money(account.Paid(event.amount_minor, event.currency))
            begun = "" if event.refund else ", not begun here"
            return f"{back} went back for {_count(event.credits)}, {event.provider_refund}{begun}"
        case _ as never:
            assert_never(never)


def _credits(event: account.CreditEvent) -> str:
    match event:
        case account.CreditsGranted():
            by = f", by {event.actor}" if event.actor else ""
            paid = f", paid {money(event.paid)}" if event.paid else ""
            until = f", until {day(event.expires_at_us)}" if event.expires_at_us is not None else ""
            settled = _settled(event.settled)
            return f"{_count(event.amount)}, {event.kind}: {event.reason}{paid}{until}{settled}{by}"
        case account.CreditsCharged():
            return f"{_count(event.amount)}{_lots(event.parts, 'from')}"
        case account.CreditsRefunded():
            lots = _lots(event.parts, "to")
            return f"{_count(event.amount)} back{lots}: {event.reason}{_settled(event.settled)}"
        case account.CreditsRevoked():
            by = f", by {event.actor}" if event.actor else ""
            return f"{_count(event.amount)} taken back{_lots(event.parts, 'from')}: {event.reason}{by}"
        case account.CreditsRestored():
            lots = _lots(event.parts, "to")
            return (
                f"{_count(event.amount)} back{lots}: refund {event.reference} failed{_settled(event.settled)}"
            )
        case account.CreditsExpired():
            return f"{_count(event.amount)} of lot {event.lot} ({event.kind}) expired"
        case _ as never:
            assert_never(never)


def _settled(credits: int) -> str:
    return f", {credits} of them against what was owed" if credits else ""


def _count(credits: int) -> str:
    return "1 credit" if credits == 1 else f"{credits} credits"


def money(paid: account.Paid) -> str:
    """`49900 RUB minor units` as `499.00 RUB`."""
    if paid.currency in _WHOLE:
        return f"{paid.amount_minor} {paid.currency}"
    return f"{paid.amount_minor // 100}.{paid.amount_minor % 100:02d} {paid.currency}"


def day(time_us: int) -> str:
    return _utc(time_us, "%Y-%m-%d")


def _clock(time_us: int) -> str:
    return _utc(time_us, "%H:%M:%S")


def _utc(time_us: int, form: str) -> str:
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # events may hold any number
        return f"{time_us} us"


def _lots(parts: tuple[account.Part, ...], word: str) -> str:
    named = ", ".join(f"{part.amount} {word} lot {part.lot} ({part.kind})" for part in parts)
    if len(parts) == 1:
        named = f"{word} lot {parts[0].lot} ({parts[0].kind})"
    return f", {named}" if len(parts) > 1 else f" {named}" if named else ""


def _failure(failure: job.Failure) -> str:
    outside = " ".join(part for part in (failure.code, failure.message) if part)
    return failure.error_class + (f" ({outside})" if outside else "")


def _video(video: job.Video) -> str:
    return f"{video.blob}, {video.size_bytes / 1e6:.1f} MB"
