"""Errors of speaking to KIE: refusals, no answer, broken results.

KieError                      `failure` says it in the words of the error classes
├── KieRefusedError          it answered no; createTask has created nothing
│   └── TaskUnknownError     it knows no such task (yet)
├── KieNoAnswerError         no answer that can be used
│   ├── KieNotSentError      the request never left: asking again is safe
│   └── OutcomeUnknownError  the request may have been carried out: asking createTask again could pay
│                                  twice
└── BrokenResultError        what it calls the result cannot be had, or is not a video
"""

from events.errors import NeurocardsError
from services.adapters.kie.failures import KieFailure


class KieError(NeurocardsError):
    """Base error of KIE calls. Its text is only class and code, fit for any log line. `retry_after_s`: the
    provider's wish."""

    def __init__(self, failure: KieFailure, retry_after_s: float | None = None) -> None:
        super().__init__(f"{failure.error_class} (code {failure.code or '-'})")
        self.failure = failure
        self.retry_after_s = retry_after_s


class KieRefusedError(KieError):
    """A refusal by the provider: createTask has created nothing."""


class TaskUnknownError(KieRefusedError):
    """An unknown task; in the first minute after its creation: not yet visible."""


class KieNoAnswerError(KieError):
    """Nothing usable came back."""


class KieNotSentError(KieNoAnswerError):
    """Connection failed, the request never left: repeating is safe."""


class OutcomeUnknownError(KieNoAnswerError):
    """The request left; its outcome is unknown: repeating createTask could pay twice."""


class BrokenResultError(KieError):
    """The result cannot be had, or is no video. `passing`: asking again later may help."""

    def __init__(self, failure: KieFailure, *, passing: bool = False) -> None:
        super().__init__(failure)
        self.args = (failure.message,)  # in our words, about the file and its host
        self.passing = passing
