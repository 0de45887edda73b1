"""Errors of speaking to KIE.

KieError                      `failure` says it in the words of the error classes
├── KieRefusedError                it answered no; createTask has created nothing
│   └── TaskUnknownError           it knows no such task (yet)
├── KieNoAnswerError               no answer that can be used
│   ├── KieNotSentError            the request never left: asking again is safe
│   └── OutcomeUnknownError        the request may have been carried out: asking createTask again could pay
│                                  twice
└── BrokenResultError              what it calls the result cannot be had, or is not a video
"""

from events.errors import NeurocardsError
from events.job import Failure


class KieError(NeurocardsError):
    """Base. `failure` is fit for an event once the seller's own words are taken out of it.

    Until then they may be in its message, so the error itself tells only class and code: any log line may
    have it. `retry_after_s` is the provider's own wish, if it had one.
    """

    def __init__(self, failure: Failure, retry_after_s: float | None = None) -> None:
        super().__init__(f"{failure.error_class} (code {failure.code or '-'})")
        self.failure = failure
        self.retry_after_s = retry_after_s


class KieRefusedError(KieError):
    """The provider answered no."""


class TaskUnknownError(KieRefusedError):
    """The provider knows no such task. In the first minute after its creation: not yet."""


class KieNoAnswerError(KieError):
    """Nothing usable came back."""


class KieNotSentError(KieNoAnswerError):
    """No connection: the request never left."""


class OutcomeUnknownError(KieNoAnswerError):
    """The request left, and nobody can say what became of it."""


class BrokenResultError(KieError):
    """The result cannot be had. `passing`: asking again later may help."""

    def __init__(self, failure: Failure, *, passing: bool = False) -> None:
        super().__init__(failure)
        self.args = (failure.message,)  # in our words, about the file and its host
        self.passing = passing
