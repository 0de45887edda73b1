"""Rules of a model's circuit breaker: open, half-open probe, close. Pure.

    available ──"temporarily paused"──▶ paused ──┐ after `until` one submission at a time is let through,
        │                                        │ a probe, or the provider is asked about it: good news,
        └──trouble of too many sellers─▶ failing ┘ and it is available; else it rests anew, twice as long

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
    """State of one model's circuit; the columns of `model_circuits`."""

    model: str
    state: State = "available"
    set_by: SetBy = "provider"
    actor: str = ""
    reason: str = ""
    since_us: int = 0
    until_us: int | None = None
    failed: tuple[str, ...] = ()
    """Accounts whose submissions have ended in trouble since the last video: each counts once."""
    openings: int = 0
    probe_job: str = ""
    probe_until_us: int = 0

    @property
    def available(self) -> bool:
        return self.state == "available"

    @property
    def failures(self) -> int:
        return len(self.failed)

    def half_open(self, now_us: int) -> bool:
        return not self.available and self.until_us is not None and now_us >= self.until_us

    def may_return(self, now_us: int) -> bool:
        """Whether waiting makes sense: it stumbles, or is just being probed."""
        return self.state == "failing" or self.half_open(now_us)

    def probe_due(self, job: str, now_us: int) -> bool:
        return self.half_open(now_us) and (now_us >= self.probe_until_us or self.probe_job == job)


class Rhythm(msgspec.Struct, frozen=True):
    """Thresholds: troubles of `failures_max` accounts in a row open a circuit. It rests `rest_s`, doubled up
    to `rest_s_max`; then one submission per `rest_s` is let through as a probe."""

    failures_max: int = 5
    rest_s: float = 60.0
    rest_s_max: float = 900.0

    def rest_us(self, openings: int) -> int:
        doubled = self.rest_s * 2.0 ** min(openings - 1, _DOUBLINGS_MAX)
        return int(min(self.rest_s_max, doubled) * 1_000_000)

    @property
    def probe_us(self) -> int:
        return int(self.rest_s * 1_000_000)


class Report(msgspec.Struct, frozen=True):
    """Outcome of a submission: of whose job, when it was announced, and why.

    `trouble`: ended in the provider's own trouble. `paused`: the provider said that the model is. `accepted`:
    there is a task. `made`: there is a video.
    """

    kind: Kind
    job: str
    announced_us: int
    reason: str = ""
    account: str = ""


def after(circuit: Circuit, report: Report, rhythm: Rhythm, now_us: int) -> Circuit:
    """The circuit after a report; the same object when it is no news."""
    if circuit.set_by == "operator" and (not circuit.available or report.announced_us < circuit.since_us):
        return circuit
    if report.kind in ("trouble", "paused"):
        return _after_trouble(circuit, report, rhythm, now_us)
    return _after_good_news(circuit, report, now_us)


def _after_trouble(circuit: Circuit, report: Report, rhythm: Rhythm, now_us: int) -> Circuit:
    says_paused = report.kind == "paused"
    if circuit.available:
        if report.account not in circuit.failed:
            circuit = replace(circuit, failed=(*circuit.failed, report.account))
        if not says_paused and circuit.failures < rhythm.failures_max:
            return circuit
    elif report.job != circuit.probe_job and not (says_paused and circuit.state == "failing"):
        return circuit  # submitted before we knew: says nothing new, and must not make the rest longer
    state: State = "paused" if says_paused else "failing" if circuit.available else circuit.state
    return _resting(circuit, state, report.reason, rhythm, now_us)


def _resting(circuit: Circuit, state: State, reason: str, rhythm: Rhythm, now_us: int) -> Circuit:
    openings = circuit.openings + 1
    return replace(
        circuit,
        state=state,
        set_by="provider",
        actor="",
        reason=reason[:REASON_CHARS_MAX],
        since_us=now_us,
        until_us=now_us + rhythm.rest_us(openings),
        openings=openings,
        probe_job="",
        probe_until_us=0,
    )


def _after_good_news(circuit: Circuit, report: Report, now_us: int) -> Circuit:
    made = report.kind == "made"
    if circuit.available:
        return replace(circuit, failed=(), openings=0) if made and circuit.failures else circuit
    if report.announced_us < circuit.since_us or not (made or circuit.state == "paused"):
        return circuit
    return Circuit(
        circuit.model,
        reason="a video was made" if made else "a submission was accepted",
        since_us=now_us,
        openings=0 if made else circuit.openings,  # accepted and paused again: the rest still grows
    )


def answered(circuit: Circuit, well: bool | None, rhythm: Rhythm, now_us: int) -> Circuit:
    """The circuit after the provider's status answer; same object unless a rest is over. Where it says
    nothing (None), the model is tried after the longest rest."""
    if not circuit.half_open(now_us):
        return circuit
    longest = rhythm.rest_us(circuit.openings) >= rhythm.rest_s_max * 1_000_000
    if well or (well is None and longest):
        said = "the provider says that it is normal" if well else "tried: the provider says nothing"
        return Circuit(circuit.model, reason=said, since_us=now_us, openings=circuit.openings)
    said = "the provider says nothing" if well is None else "the provider says that it is not normal"
    return _resting(circuit, circuit.state, said, rhythm, now_us)


def paused_by(circuit: Circuit, actor: str, reason: str, now_us: int) -> Circuit:
    """The circuit after an operator's pause; the same object when already paused by one."""
    if circuit.state == "paused" and circuit.set_by == "operator":
        return circuit
    return Circuit(circuit.model, "paused", "operator", actor, reason, now_us)


def resumed_by(circuit: Circuit, actor: str, reason: str, now_us: int) -> Circuit:
    """The circuit after an operator's resume; the same object when available."""
    if circuit.available:
        return circuit
    return Circuit(circuit.model, "available", "operator", actor, reason, now_us)
