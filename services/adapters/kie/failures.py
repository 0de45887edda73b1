"""Classification of KIE's failures: an ordered table, the first matching rule decides.

Text comes before codes, since the provider answers `500` for nearly everything and says the rest in words
(sentences: EXTERNAL_APIS 1.2 and 1.10; the tests hold them all). Rules are narrow: an unseen sentence is
`unclassified`, which ends in a refund and not in a guess.
"""

import re
from functools import cached_property
from typing import Final

import msgspec

from services.generation.error_classes import ErrorClass
from services.platform.ids import Code, told
from services.platform.scrub import scrub


class KieFailure(msgspec.Struct, frozen=True):
    """What the provider did instead: its class, a code, a sentence, and the beginning of the answer.

    Scrubbed, but fit for no event or log line: a sentence may name anybody. An event's `Failure` is made of
    it when the words are kept (worker/steps/handle_failure.py).
    """

    error_class: ErrorClass
    code: str = ""
    message: str = ""
    raw: str = ""

    @property
    def words(self) -> str:
        return "\n".join(filter(None, (self.message, self.raw)))


class Signal(msgspec.Struct, frozen=True):
    """What to classify: HTTP status, envelope's `code`, finished task's `failCode`, words. `exception` is the
    exception's name when there was no reply at all."""

    http_status: int = 200
    code: str = ""
    fail_code: str = ""
    text: str = ""
    exception: str = ""

    @property
    def said_code(self) -> str:
        return self.exception or self.fail_code or self.code or str(self.http_status)


class Rule(msgspec.Struct, frozen=True, dict=True):
    """Classification rule: fits when `text` is found (any letter case) and a code is in `codes`.

    Codes are compared with the exception's name, else a finished task's `failCode`, else the envelope's code,
    else the HTTP status. `maybe_created`: such an answer to createTask, with a real HTTP 5xx or 408, does not
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
        if self.codes and signal.said_code not in self.codes:
            return False
        return self.pattern.search(signal.text) is not None


NO_ANSWER_RULES: Final = (
    Rule("misconfigured", "our_fault", codes=("UnsupportedProtocol", "LocalProtocolError")),
    Rule("not_connected", "transient", codes=("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError")),
    Rule("cut_off", "transient", codes=("ReadError", "WriteError", "CloseError", "RemoteProtocolError")),
    Rule("too_slow", "transient", codes=("ReadTimeout", "WriteTimeout", "TimeoutError")),
    Rule("garbled", "transient", codes=("DecodingError",)),
)
"""For exceptions, by name. Their words are about the connection and decide nothing."""

RULES: Final = (
    # The model and our account with the provider.
    Rule("paused", "model_paused", r"temporarily paused"),
    Rule(
        "balance_text", "provider_balance", r"credits insufficient|insufficient credits|balance isn.t enough"
    ),
    Rule("unknown_model", "our_fault", r"model name you specified is not supported"),
    Rule("rejected_field", "our_fault", r"is not supported for image-to-video"),
    Rule(
        "missing_field", "our_fault", r"^\w+( (field|parameter))? is required\b|^missing required parameter\b"
    ),
    # The user's picture and words.
    Rule("face", "user_violation", r"photorealistic people|may contain real person|PrivacyInformation"),
    Rule("people", "user_violation", r"public error (minor|prominent people) upload"),
    Rule("guardrails", "user_violation", r"violate our guardrails|similarity to third-party content"),
    Rule("policy", "user_violation", r"violating content polic|Prohibited Use policy"),
    Rule("unsafe_image", "user_violation", r"public error unsafe image upload"),
    Rule("sensitive", "user_violation", r"\b\w+SensitiveContentDetected\b"),
    Rule("ratio", "bad_image", r"^ratio error\b"),
    Rule("language", "our_fault", r"only English prompts are supported"),
    # Passing trouble. A picture that was not fetched is uploaded anew with the next submission.
    Rule("image_not_fetched", "transient", r"failed to fetch the image|timeout while downloading"),
    Rule("maintenance", "transient", r"currently being maintained"),
    Rule("rate_limit_text", "rate_limited", r"rate limit exceeded|too many requests"),
    Rule("blank_task", "transient", r"task id is blank"),
    Rule("internal_error", "transient", r"^internal (server )?error\b", maybe_created=True),
    Rule("server_error", "transient", r"^server error\b", maybe_created=True),
    Rule("timed_out", "transient", r"\btimed out\W*$|no results were returned", maybe_created=True),
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


def rule_for(signal: Signal) -> Rule:
    rules = NO_ANSWER_RULES if signal.exception else TASK_RULES if signal.fail_code else RULES
    return next((rule for rule in rules if rule.fits(signal)), UNCLASSIFIED)


def failure_for(signal: Signal, rule: Rule | None = None, raw: str = "") -> KieFailure:
    """The failure to record: class, the provider's code, its words and `raw`, scrubbed."""
    error_class = (rule or rule_for(signal)).error_class
    code = told(scrub(signal.said_code), Code) or ""
    return KieFailure(error_class, code, scrub(signal.text), scrub(raw))
