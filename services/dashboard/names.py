"""Names of states, stages and kinds as people read them: the value with spaces, translated.

Error classes are words of the runbook and the metrics too; a page keeps theirs in `title`.
"""

from typing import Final

from events.errors import NeurocardsError
from ledger import errors
from projections.engine.errors import NothingOfThatNameError
from services.operations.jobs import NotOfferedError
from services.platform.catalogues import N_

NAMES: Final = frozenset({
    # jobs, payments, messages, models
    N_("queued"), N_("writing"), N_("submitting"), N_("rendering"), N_("retrying"), N_("succeeded"),
    N_("failed"), N_("ordered"), N_("pending"), N_("cancelled"), N_("expired"), N_("flagged"),
    N_("refunding"), N_("refunded partly"), N_("refunded"), N_("sending"), N_("sent"), N_("skipped"),
    N_("available"), N_("paused"), N_("failing"), N_("not offered"), N_("provider"), N_("operator"),
    N_("open"),
    # stages
    N_("account"), N_("attempt"), N_("charge"), N_("expiry"), N_("failure"), N_("grant"), N_("message"),
    N_("order"), N_("payment"), N_("promo"), N_("refund"), N_("requeue"), N_("revocation"), N_("system"),
    N_("task"), N_("video"),
    # kinds of lots, messages, exceptions and notes
    N_("bonus"), N_("purchase"), N_("referral"), N_("manual"), N_("carried"), N_("correction"),
    N_("debt"), N_("gift"), N_("paid"), N_("paid again"), N_("referred"), N_("ending"), N_("left"),
    N_("works"), N_("flagged money"), N_("self approved"), N_("refunded and delivered"),
    N_("refunded and spent"), N_("checkpoint"), N_("restored"),
    # what is done with backups
    N_("backup"), N_("check"), N_("drill"),
    # a stream beside the log
    N_("as the log"), N_("behind"), N_("trimmed"), N_("empty"), N_("missing"),
    N_("lacks unfinished jobs"), N_("ahead of ledger"), N_("ahead of the log"),
    N_("differs from the log"), N_("not ours"),
    # error classes
    N_("user violation"), N_("bad image"), N_("our fault"), N_("provider auth"), N_("provider balance"),
    N_("model paused"), N_("rate limited"), N_("transient"), N_("result broken"), N_("timeout"),
    N_("overloaded"), N_("poison"), N_("user erased"), N_("unclassified"),
})  # fmt: skip


def spoken(value: str) -> str:
    """The msgid of a state, stage, kind or class; itself if it has none."""
    said = value.replace("_", " ")
    return said if said in NAMES else value


REFUSED: Final[dict[type[NeurocardsError], str]] = {
    errors.AccountNotOpenError: N_("There is no such account."),
    errors.AccountErasedError: N_("The account was erased."),
    errors.InsufficientCreditsError: N_("Not so many credits are there."),
    errors.ApprovalNeededError: N_("So many credits take a second person."),
    errors.ChangeClosedError: N_("The proposal is not open any more."),
    errors.JobNotFoundError: N_("There is no such job."),
    errors.JobFinishedError: N_("The job has ended already."),
    errors.JobUnfinishedError: N_("The job has not ended yet."),
    errors.AlreadyRequeuedError: N_("The job is made again already."),
    errors.SubmissionOpenError: N_("The provider still works on it."),
    errors.SalesPausedError: N_("Sales are paused."),
    errors.KeyReusedError: N_("This form was sent before with something else; open it again."),
    errors.LedgerBusyError: N_("Too much is being recorded just now; send the form once more."),
    errors.LedgerUnavailableError: N_("The database does not answer; send the form once more."),
    NotOfferedError: N_("The catalogue does not offer this model."),
    NothingOfThatNameError: N_("There is nothing of that name."),
}
"""Why the ledger says no, beside its own English words. A class stands for those below it."""


def refusal(error: Exception) -> str:
    """The msgid of why; nothing where only the error's own words tell."""
    return next((REFUSED[kind] for kind in type(error).__mro__ if kind in REFUSED), "")
