"""Every sentence of the provider that is known, and the class it means."""

import httpx

from services.adapters.kie.failures import NO_ANSWER_RULES, RULES, Signal, failure_for, rule_for
from tests.support.each import each
from tests.support.kie_sentences import REPLIES, TASKS


@each(("code", "text", "error_class"), REPLIES)
def test_replies(code: str, text: str, error_class: str) -> None:
    assert failure_for(Signal(200, code, "", text)).error_class == error_class


@each(("code", "text", "error_class"), TASKS)
def test_finished_tasks(code: str, text: str, error_class: str) -> None:
    failure = failure_for(Signal(fail_code=code, text=text))
    assert (failure.error_class, failure.code) == (error_class, code)


@each(
    ("status", "error_class"),
    [(401, "provider_auth"), (403, "provider_auth"), (402, "provider_balance"), (404, "our_fault"),
     (422, "our_fault"), (429, "rate_limited"), (502, "transient"), (503, "transient")],
)  # fmt: skip
def test_real_http_statuses_count_where_there_is_no_envelope(status: int, error_class: str) -> None:
    assert failure_for(Signal(status)).error_class == error_class


def test_every_rule_is_reached_by_a_sentence() -> None:
    signals = [Signal(200, code, "", text) for code, text, _ in REPLIES]
    signals += [Signal(fail_code=code, text=text) for code, text, _ in TASKS]
    assert {rule_for(signal).name for signal in signals} >= {rule.name for rule in RULES}


def transport_errors(parent: type[Exception] = httpx.TransportError) -> set[str]:
    """The names of all that can happen to a connection."""
    found = {parent.__name__} - {"TransportError", "TimeoutException", "NetworkError", "ProtocolError"}
    return found.union(*(transport_errors(child) for child in parent.__subclasses__()))


def test_every_way_to_get_no_answer_has_a_rule() -> None:
    known = {code for rule in NO_ANSWER_RULES for code in rule.codes}
    assert transport_errors() <= known
    assert failure_for(Signal(exception="ReadTimeout")).error_class == "transient"
    assert failure_for(Signal(exception="UnsupportedProtocol")).error_class == "our_fault"


def test_an_exceptions_words_decide_nothing() -> None:
    for name, error_class in (("ConnectError", "transient"), ("SomethingNew", "unclassified")):
        failure = failure_for(Signal(exception=name, text="host paused.test: credits insufficient"))
        assert (failure.error_class, failure.code) == (error_class, name)


@each(
    "text",
    [
        "The consent of the person is required",
        "The model timed out of patience with this prompt",
        "unsafe image upload",
        "a SensitiveContentDetectedly odd word",
    ],
)
def test_nothing_is_broader_than_the_sentences(text: str) -> None:
    assert rule_for(Signal(200, "500", "", text)).error_class == "unclassified"


def test_a_code_is_a_code_whatever_the_provider_puts_there() -> None:
    for said in ("Синяя кружка https://x.example/a?b=1 " + "k1" * 40, "a mug", "k1" * 20, "x" * 99):
        assert failure_for(Signal(fail_code=said)).code == ""
    assert failure_for(Signal(fail_code="InputImage.Privacy-1_a")).code == "InputImage.Privacy-1_a"


def test_words_in_a_prompt_do_not_decide() -> None:
    """An over-broad word would call this a violation, a face, or a balance."""
    for text in ("error in content service", "person count unavailable", "credit card video", "sora 2"):
        assert rule_for(Signal(200, "500", "", text)).error_class == "unclassified"
