"""Names of states, stages and kinds as people read them: the value with spaces, translated.

Error classes are words of the runbook and the metrics too; a page keeps theirs in `title`.
"""

from typing import Final

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
