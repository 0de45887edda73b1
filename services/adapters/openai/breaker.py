"""Circuit breaker for OpenAI calls; rules as in generation/circuit_breaker/rules.py.

    closed ── a lasting reason, or IN_A_ROW_MAX times out of reach ──▶ open (alarm, once)
    open ── the pause is over: the next call is the probe, all others are still spared ──▶ probing
    probing ── any answer but a lasting reason ──▶ closed
    probing ── a lasting reason ──▶ open for another pause
    probing ── out of reach, or cancelled ──▶ the next call is the probe

Calls overlap: the report of one admitted before the circuit last changed is ignored. Each process has its
own, at the price of one call per pause.
"""

import time
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from msgspec.structs import replace

from services.adapters.openai.errors import LASTING, UNREACHED, OpenAINoAnswerError, Reason
from services.adapters.openai.metrics import BREAKER_OPEN, BREAKER_OPENINGS
from services.generation.circuit_breaker.rules import Circuit, Kind, Report, Rhythm, after

logger = structlog.get_logger()

LASTING_PAUSE_S: Final = 600.0
UNREACHED_PAUSE_S: Final = 30.0
IN_A_ROW_MAX: Final = 8
_LASTING: Final = Rhythm(IN_A_ROW_MAX, LASTING_PAUSE_S, LASTING_PAUSE_S)
_UNREACHED: Final = Rhythm(IN_A_ROW_MAX, UNREACHED_PAUSE_S, UNREACHED_PAUSE_S)
_PROBING: Final = 2**62


class Pass(msgspec.Struct, frozen=True):
    number: int
    probe: bool


class Breaker:
    """Circuit breaker of one client. No method waits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuit = Circuit("openai")
        self._passes = self._passes_before = 0
        self.reason: Reason | None = None
        """Why it is open; None while it is closed."""

    def admit(self) -> Pass:
        """Admit one call, to be reported or given back. Raises OpenAINoAnswerError while open."""
        if self.reason is not None and not self._circuit.probe_due("", self._now_us()):
            raise OpenAINoAnswerError(self.reason, "asked in vain a while ago")
        self._passes += 1
        admitted = Pass(self._passes, probe=self.reason is not None)
        if admitted.probe:
            self._circuit = replace(self._circuit, probe_job=str(self._passes), probe_until_us=_PROBING)
        return admitted

    def give_back(self, admitted: Pass) -> None:
        """Release a cancelled call: nothing was learned."""
        if admitted.probe:
            self._circuit = replace(self._circuit, probe_job="", probe_until_us=0)

    def report(self, admitted: Pass, reason: Reason | None, detail: str = "") -> None:
        """Record how an admitted call ended; None: well."""
        if admitted.probe and reason in UNREACHED:
            return self.give_back(admitted)
        if not admitted.probe and admitted.number <= self._passes_before:
            return None
        kind: Kind = "paused" if reason in LASTING else "trouble" if reason in UNREACHED else "made"
        call, now_us = str(admitted.number), self._now_us()
        rhythm = _LASTING if reason in LASTING else _UNREACHED
        before, self._circuit = (
            self._circuit,
            after(self._circuit, Report(kind, call, now_us, reason or "", account=call), rhythm, now_us),
        )
        if (self._circuit.state, self._circuit.until_us) != (before.state, before.until_us):
            self._passes_before = self._passes
            self._changed(None if self._circuit.available else reason, detail)
        return None

    def _changed(self, reason: Reason | None, detail: str) -> None:
        was, self.reason = self.reason, reason
        if was is not None:
            BREAKER_OPEN.labels(was).set(0)
        if reason is None:
            logger.info("openai_usable_again", was=was)
            return
        BREAKER_OPEN.labels(reason).set(1)
        if was is not None:
            logger.warning("openai_still_unusable", reason=reason, detail=detail)
            return
        BREAKER_OPENINGS.labels(reason).inc()
        alarm = logger.error if reason in LASTING else logger.warning  # the others pass by themselves
        alarm("openai_unusable", reason=reason, detail=detail)

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)
