"""The rules of a model's circuit: when it opens, lets a probe through, closes. Pure; time comes in as data.

    available ──"temporarily paused"──▶ paused ──┐ after `until` one submission at a time is let through,
        │                                        │ a probe: accepted, and the model is available again;
        └──too many troubles in a row──▶ failing ┘ trouble, and the rest begins anew, twice as long

An operator's pause has no end and no probe, and nothing but an operator ends it. What becomes of a submission
counts by the time it was *announced*: what was announced before an operator's resume is no news after it.
"""

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

State = Literal["available", "paused", "failing"]
SetBy = Literal["provider", "operator"]
Kind = Literal["trouble", "paused", "accepted", "made"]

REASON_CHARS_MAX: Final = 300
_DOUBLINGS_MAX: Final = 16


class Circuit(msgspec.Struct, frozen=True):
    """One model as it stands; the columns of `model_circuits`."""

    model: str
    state: State = "available"
    set_by: SetBy = "provider"
    actor: str = ""
    reason: str = ""
    since_us: int = 0
    until_us: int | None = None
    failures: int = 0
    openings: int = 0
    probe_job: str = ""
    probe_until_us: int = 0

    @property
    def available(self) -> bool:
        return self.state == "available"

    def half_open(self, now_us: int) -> bool:
        """Whether its rest is over, so that a probe may be let through."""
        return not self.available and self.until_us is not None and now_us >= self.until_us

    def may_return(self, now_us: int) -> bool:
        """Whether waiting makes sense: it stumbles, or is just being tried."""
        return self.state == "failing" or self.half_open(now_us)

    def probe_due(self, job: str, now_us: int) -> bool:
        """Whether `job` may ask to be the probe."""
        return self.half_open(now_us) and (now_us >= self.probe_until_us or self.probe_job == job)


class Rhythm(msgspec.Struct, frozen=True):
    """`failures_max` troubles in a row open a circuit. Its first rest is `rest_s`, doubling to `rest_s_max`.

    After it one submission is let through every `rest_s`, until one has told how the model is.
    """

    failures_max: int = 10
    rest_s: float = 60.0
    rest_s_max: float = 900.0

    def rest_us(self, openings: int) -> int:
        """The rest of opening number `openings` in a row."""
        doubled = self.rest_s * 2.0 ** min(openings - 1, _DOUBLINGS_MAX)
        return int(min(self.rest_s_max, doubled) * 1_000_000)

    @property
    def probe_us(self) -> int:
        return int(self.rest_s * 1_000_000)


class Report(msgspec.Struct, frozen=True):
    """What became of a submission of the model: of which job, when it was announced, and in what words.

    trouble: it ended in the provider's own trouble · paused: the provider said that the model is
    accepted: there is a task · made: there is a video
    """

    kind: Kind
    job: str
    announced_us: int
    reason: str = ""


def after(circuit: Circuit, report: Report, rhythm: Rhythm, now_us: int) -> Circuit:
    """The circuit after a report; the very same one when it is no news."""
    if circuit.set_by == "operator" and (not circuit.available or report.announced_us < circuit.since_us):
        return circuit
    if report.kind in ("trouble", "paused"):
        return _after_trouble(circuit, report, rhythm, now_us)
    return _after_good_news(circuit, report, now_us)


def _after_trouble(circuit: Circuit, report: Report, rhythm: Rhythm, now_us: int) -> Circuit:
    says_paused = report.kind == "paused"
    if circuit.available:
        circuit = replace(circuit, failures=circuit.failures + 1)
        if not says_paused and circuit.failures < rhythm.failures_max:
            return circuit
    elif report.job != circuit.probe_job and not (says_paused and circuit.state == "failing"):
        return circuit  # submitted before we knew: says nothing new, and must not make the rest longer
    openings = circuit.openings + 1
    return replace(
        circuit,
        state="paused" if says_paused else "failing" if circuit.available else circuit.state,
        set_by="provider",
        actor="",
        reason=report.reason[:REASON_CHARS_MAX],
        since_us=now_us,
        until_us=now_us + rhythm.rest_us(openings),
        openings=openings,
        probe_job="",
        probe_until_us=0,
    )


def _after_good_news(circuit: Circuit, report: Report, now_us: int) -> Circuit:
    made = report.kind == "made"
    if circuit.available:
        return replace(circuit, failures=0, openings=0) if made and circuit.failures else circuit
    if report.announced_us < circuit.since_us or not (made or circuit.state == "paused"):
        return circuit
    return Circuit(
        circuit.model,
        reason="a video was made" if made else "a submission was accepted",
        since_us=now_us,
        openings=0 if made else circuit.openings,  # accepted and paused again: the rest still grows
    )


def paused_by(circuit: Circuit, actor: str, reason: str, now_us: int) -> Circuit:
    """The circuit after an operator's pause; the same one when an operator has paused it already."""
    if circuit.state == "paused" and circuit.set_by == "operator":
        return circuit
    return Circuit(circuit.model, "paused", "operator", actor, reason, now_us)


def resumed_by(circuit: Circuit, actor: str, reason: str, now_us: int) -> Circuit:
    """The circuit after an operator's resume, whoever had closed it; the same one when it is available."""
    if circuit.available:
        return circuit
    return Circuit(circuit.model, "available", "operator", actor, reason, now_us)
