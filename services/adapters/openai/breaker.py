"""Spares calls that would fail: opened by an error that lasts or by many in a row, closed by one good probe.

    closed ── a lasting reason, or IN_A_ROW_MAX times out of reach ──▶ open (alarm, once)
    open ── the pause is over: the next call is the probe, all others are still spared ──▶ probing
    probing ── any answer but a lasting reason ──▶ closed
    probing ── a lasting reason ──▶ open for another pause
    probing ── out of reach, or cancelled ──▶ the next call is the probe

Calls overlap, so what one reports may be older than what another has changed meanwhile. Each report
therefore comes with the pass the call was admitted by:

- Sixteen calls are under way and all end with `quota`: the first opens and alarms, the others belong to a
  time before the opening and change nothing.
- A call admitted before the opening succeeds after it: it proves nothing, only the probe closes.
- The probe's job is cancelled: its pass is given back, or no call would ever be made again.

In this process only: each process finds out by itself, at the price of one call per pause.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from services.adapters.openai.errors import LASTING, UNREACHED, OpenAINoAnswerError, Reason
from services.adapters.openai.metrics import BREAKER_OPEN, BREAKER_OPENINGS

logger = structlog.get_logger()

LASTING_PAUSE_S: Final = 600.0
UNREACHED_PAUSE_S: Final = 30.0
IN_A_ROW_MAX: Final = 8


class Pass(msgspec.Struct, frozen=True):
    """Leave to make one call; `opening` counts how often the breaker had opened by then."""

    opening: int
    probe: bool


class Breaker:
    """One per process and client. No method waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._reason: Reason | None = None
        self._until_s = 0.0
        self._probing = False
        self._openings = 0
        self._in_a_row = 0

    @property
    def reason(self) -> Reason | None:
        """Why it is open; None while it is closed."""
        return self._reason

    def admit(self) -> Pass:
        """Leave for one call, to be reported or given back. Raises OpenAINoAnswerError when the call is
        spared."""
        if self._reason is None:
            return Pass(self._openings, probe=False)
        if self._probing or self._clock() < self._until_s:
            raise OpenAINoAnswerError(self._reason, "asked in vain a while ago")
        self._probing = True
        return Pass(self._openings, probe=True)

    def report(self, admitted: Pass, reason: Reason | None, detail: str = "") -> None:
        """How an admitted call ended; None: well."""
        if admitted.probe:
            self._probing = False
            self._probed(reason, detail)
        elif admitted.opening == self._openings:
            self._in_a_row = self._in_a_row + 1 if reason in UNREACHED else 0
            if reason is not None and (reason in LASTING or self._in_a_row >= IN_A_ROW_MAX):
                self._open(reason, detail)

    def give_back(self, admitted: Pass) -> None:
        """The call was cancelled: nothing is known."""
        if admitted.probe:
            self._probing = False

    def _probed(self, reason: Reason | None, detail: str) -> None:
        assert self._reason is not None
        if reason in LASTING:
            self._pause(reason)
            logger.warning("openai_still_unusable", reason=reason, detail=detail)
        elif reason not in UNREACHED:
            logger.info("openai_usable_again", was=self._reason)
            BREAKER_OPEN.labels(self._reason).set(0)
            self._reason, self._in_a_row = None, 0

    def _open(self, reason: Reason, detail: str) -> None:
        self._openings += 1
        self._pause(reason)
        BREAKER_OPENINGS.labels(reason).inc()
        alarm = logger.error if reason in LASTING else logger.warning  # the others pass by themselves
        alarm("openai_unusable", reason=reason, detail=detail)

    def _pause(self, reason: Reason) -> None:
        if self._reason is not None:
            BREAKER_OPEN.labels(self._reason).set(0)
        self._reason = reason
        self._until_s = self._clock() + (LASTING_PAUSE_S if reason in LASTING else UNREACHED_PAUSE_S)
        BREAKER_OPEN.labels(reason).set(1)
