"""What the provider's words mean: one ordered table, read from the top, the first rule that fits decides.

Text comes before codes, since the provider answers `500` for nearly everything and says the rest in words
(EXTERNAL_APIS 1.2 and 1.10 have the sentences; the tests hold every one of them). Nothing here is broad: a
sentence nobody has seen is `unclassified`, which ends in a refund and not in a guess.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Final

import msgspec

from events.codec import clean_text
from events.job import MESSAGE_CHARS_MAX, Failure
from services.shared.error_policy import ErrorClass


class Signal(msgspec.Struct, frozen=True):
    """What was heard: the HTTP status, the envelope's `code`, a finished task's `failCode`, and the words."""

    http_status: int = 200
    code: str = ""
    fail_code: str = ""
    text: str = ""


class Rule(msgspec.Struct, frozen=True, dict=True):
    """Fits when `text` is found (any letter case) and, where given, a code is one of `codes`.

    Codes are compared with `failCode` for a finished task, else with the envelope's code, else with the HTTP
    status. `maybe_created`: an answer like this to createTask, when it came with a real HTTP 5xx, does not
    prove that no task was made.
    """

    name: str
    error_class: ErrorClass
    text: str = ""
    codes: tuple[str, ...] = ()
    maybe_created: bool = False

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(self.text, re.IGNORECASE)

    def fits(self, signal: Signal) -> bool:
        code = signal.fail_code or signal.code or str(signal.http_status)
        return (not self.codes or code in self.codes) and self.pattern.search(signal.text) is not None


RULES: Final = (
    # The model and our account with the provider.
    Rule("paused", "model_paused", r"temporarily paused"),
    Rule(
        "balance_text", "provider_balance", r"credits insufficient|insufficient credits|balance isn.t enough"
    ),
    Rule("unknown_model", "our_fault", r"model name you specified is not supported"),
    Rule("rejected_field", "our_fault", r"is not supported for image-to-video"),
    Rule("missing_field", "our_fault", r"\bis required\b"),
    # The user's picture and words.
    Rule("face", "user_violation", r"photorealistic people|may contain real person|PrivacyInformation"),
    Rule("people", "user_violation", r"public error (minor|prominent people) upload"),
    Rule("guardrails", "user_violation", r"violate our guardrails|similarity to third-party content"),
    Rule("policy", "user_violation", r"violating content polic|Prohibited Use policy|unsafe image upload"),
    Rule("sensitive", "user_violation", r"\w*SensitiveContentDetected"),
    Rule("ratio", "bad_image", r"^ratio error\b"),
    Rule("language", "our_fault", r"only English prompts are supported"),
    # Passing trouble. A picture that was not fetched is uploaded anew with the next submission.
    Rule("image_not_fetched", "transient", r"failed to fetch the image|timeout while downloading"),
    Rule("maintenance", "transient", r"currently being maintained"),
    Rule("rate_limit_text", "rate_limited", r"rate limit exceeded|too many requests"),
    Rule("blank_task", "transient", r"task id is blank"),
    Rule("internal_error", "transient", r"^internal (server )?error\b", maybe_created=True),
    Rule("server_error", "transient", r"^server error\b", maybe_created=True),
    Rule("timed_out", "transient", r"\btimed out\b|no results were returned", maybe_created=True),
    # Words that say nothing, with a code that does.
    Rule("auth", "provider_auth", codes=("401", "403")),
    Rule("balance", "provider_balance", codes=("402", "433")),
    Rule("rate_limit", "rate_limited", codes=("429",)),
    Rule("image_code", "transient", codes=("451",)),
    Rule("maintenance_code", "transient", codes=("455",)),
    Rule("disabled", "model_paused", codes=("505",)),
    Rule("bad_request", "our_fault", codes=("400", "404", "405", "413", "415", "422")),
    Rule("upstream", "transient", codes=("408", "409", "502", "503", "504", "550"), maybe_created=True),
    Rule("bare_error", "transient", text=r"^$", codes=("500",), maybe_created=True),
)
UNCLASSIFIED: Final = Rule("unclassified", "unclassified", maybe_created=True)
CREATE_FAILED: Final = Rule("create_failed", "transient", codes=("500",), maybe_created=True)
"""createTask answering 500 in words nobody knows: no task was issued, one more try is worth it."""
TASK_RULES: Final = tuple(rule for rule in RULES if rule.name != "bad_request")
"""A finished task's failCode 422 says nothing about our request; its words decide or nothing does."""

_URL = re.compile(r"https?://\S+")
_KEYLIKE = re.compile(r"\b(?:sk-)?[A-Za-z0-9_-]{32,}\b")
_WORD = re.compile(r"\w+")
_PRIVATE_RUN_WORDS = 3
_HARMLESS_CHARS = 3
_READ_CHARS_MAX = 4 * MESSAGE_CHARS_MAX


def rule_for(signal: Signal) -> Rule:
    """The first rule that fits; UNCLASSIFIED when none does."""
    rules = TASK_RULES if signal.fail_code else RULES
    return next((rule for rule in rules if rule.fits(signal)), UNCLASSIFIED)


def failure_for(signal: Signal, rule: Rule | None = None) -> Failure:
    """The failure to record: class, the provider's own code, and its words without addresses and keys."""
    code = signal.fail_code or signal.code or str(signal.http_status)
    return Failure((rule or rule_for(signal)).error_class, code[:32], scrub(signal.text))


def scrub(text: str, private: Iterable[str] = ()) -> str:
    """The words fit for an event: no addresses, no keys, nothing the user wrote (`private`), and short.

    Of private texts every run of three words, and every shorter text as a whole, is blacked out.
    """
    text = _KEYLIKE.sub("…", _URL.sub("<url>", clean_text(text[:_READ_CHARS_MAX])))
    return " ".join(_blacked_out(text, private).split())[:MESSAGE_CHARS_MAX]


def _blacked_out(text: str, private: Iterable[str]) -> str:
    words = list(_WORD.finditer(text))
    said = [word[0].casefold() for word in words]
    hidden: set[int] = set()
    for secret in private:
        written = [word.casefold() for word in _WORD.findall(secret)]
        size = min(len(written), _PRIVATE_RUN_WORDS)
        if len("".join(written)) <= _HARMLESS_CHARS:
            continue
        runs = {tuple(written[at : at + size]) for at in range(len(written) - size + 1)}
        for at in range(len(said) - size + 1):
            if tuple(said[at : at + size]) in runs:
                hidden.update(range(at, at + size))
    for at in sorted(hidden, reverse=True):
        # From the end, so that the places before stay right; neighbours melt into one mark.
        end = words[at + 1].start() if at + 1 in hidden else words[at].end()
        text = text[: words[at].start()] + ("" if at + 1 in hidden else "…") + text[end:]
    return text
