"""Recovery plan: what was lost, and what to do."""

from collections.abc import Iterable, Sequence

import msgspec

from events.envelope import GENESIS, GENESIS_HASH, Cursor
from ledger.checkpoints.signed_note import PublicKey
from ledger.log.reader import LogReader
from ledger.postgres import Pool
from ledger.sql import load_queries
from projections.engine.registry import PROJECTIONS
from services.recovery.observed import Streams, Trace, cursor_traces, note_traces, restorations, stream_trace
from services.streams.publisher.recreate import ConsistencyCheck, StreamMaker
from services.streams.publisher.scripts import Scripts

query = load_queries("services.recovery")

NOTIFIER = "notifier"


class Step(msgspec.Struct, frozen=True):
    """Line of the plan: thing, remembered place, action (`` for nothing)."""

    part: str
    found: str
    action: str = ""


class Plan(msgspec.Struct, frozen=True):
    """Recovery plan. `lost` is the highest unexplained lost place, or None.

    `kept` is the highest that was seen and still stands. `unexplained` says what no restore can have done.
    """

    head: Cursor
    lost: Cursor | None
    kept: Cursor
    streams: Streams
    make_streams: bool
    projections: tuple[str, ...]
    notifier: bool
    open_jobs: bool
    unexplained: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def nothing_to_do(self) -> bool:
        return not any(step.action for step in self.steps)


async def make_plan(
    pool: Pool, scripts: Scripts, *, notes: Iterable[str], keys: Sequence[PublicKey], reach_back: int
) -> Plan:
    """Plan a recovery, changing nothing. `notes`: from outside; `reach_back`: events to republish."""
    notes = list(notes)
    head = await LogReader(pool).head()
    known = await restorations(pool, notes, keys)
    judge = ConsistencyCheck(pool, StreamMaker(pool, scripts, reach_back=reach_back))
    streams, stream = await stream_trace(pool, scripts, judge, head, known)
    cursors = await cursor_traces(pool, known)
    signed = await note_traces(pool, notes, keys, known)
    traces = [*signed, *cursors.values(), *([stream] if stream else [])]
    sure = max((trace.place.position for trace in signed if trace.held), default=0)
    kept, lost = _span(traces, streams, sure)
    settled, waiting, all_waiting = await pool.fetchrow(query("deliveries_lost")) or (0, 0, 0)
    missing, extra = await pool.fetchrow(query("open_jobs_wrong")) or (0, 0)
    projections = tuple(name for name, t in cursors.items() if name in PROJECTIONS and not t.held)
    told = NOTIFIER in cursors and not cursors[NOTIFIER].held
    steps = [
        Step("log", _place("its head is", head), _sign(lost, kept)),
        _streams_step(streams),
        *(_cursor_step(name, trace) for name, trace in cursors.items()),
        _messages_step(settled, waiting, all_waiting - waiting if lost else 0),
        Step("open jobs", f"{missing} missing, {extra} too many",
             "as the log says" if missing + extra else ""),
        *(_note_step(trace, max(sure, kept.position)) for trace in signed if not trace.held),
    ]  # fmt: skip
    unexplained = [
        f"{trace.source}: the log holds another event at position {trace.place.position}, though it is as it "
        f"was seen at {max(sure, kept.position)}: no restore does that; run `neurocards ledger verify`"
        for trace in signed
        if trace.lost and trace.place.position <= max(sure, kept.position)
    ]
    return Plan(
        head, lost, kept, streams, streams.are not in ("in line", "behind"), projections,
        told or bool(settled + waiting), bool(missing + extra), tuple(unexplained), tuple(steps),
    )  # fmt: skip


def _span(traces: Sequence[Trace], streams: Streams, sure: int) -> tuple[Cursor, Cursor | None]:
    """Highest kept place of the lost history, and highest lost.

    What was signed at `sure` stands, so only what comes after can have been lost. What stands beyond a lost
    place has grown since the log went back. The stream, where it goes both ways, tells exactly.
    """
    lost = [trace.place for trace in traces if trace.lost and trace.place.position > sure]
    before = min((place.position for place in lost), default=2**63)
    held = [trace.place for trace in traces if trace.held and trace.place.position < before]
    if lost and streams.fork is not None and sure <= streams.fork.position < before:
        held = [streams.fork]
    # Of two at one position the one whose hash is known.
    highest = max(lost, key=lambda place: (place.position, place.hash), default=None)
    return max(held, key=lambda place: place.position, default=GENESIS), highest


def _sign(lost: Cursor | None, kept: Cursor) -> str:
    if lost is None:
        return ""
    return f"sign that it went back: kept up to {kept.position}, lost up to {lost.position}"


def _streams_step(streams: Streams) -> Step:
    last = f"up to {streams.state.ledger_last}"
    match streams.are:
        case "in line":
            return Step("streams", f"{last}, as the log")
        case "behind":
            return Step("streams", f"{last}; the relay will bring them up to the log")
        case "incomplete":
            return Step("streams", f"{last}, but {streams.lacking}", "made anew from the log")
        case "empty":
            return Step("streams", "empty", "made anew from the log")
        case "not ours":
            return Step("streams", f"{last}, with entries that are none of ours", "made anew from the log")
        case "of another history":
            fork = f", as the log up to {streams.fork.position}" if streams.fork else ""
            return Step("streams", f"{last}{fork}", "what is lost saved to a file; made anew from the log")


def _messages_step(settled: int, waiting: int, doubtful: int) -> Step:
    found = f"{settled} sent and {waiting} waiting that no event owes"
    if doubtful:
        found += f"; {doubtful} waiting that may have been sent before the log went back"
    return Step("messages", found, "kept as sent, and forgotten" if settled + waiting else "")


def _cursor_step(name: str, trace: Trace) -> Step:
    part = f"projection {name}" if name in PROJECTIONS else name
    if trace.held:
        return Step(part, _place("in line at", trace.place))
    found = _place("has applied what the log does not hold at", trace.place)
    if name in PROJECTIONS:
        return Step(part, found, "rebuilt from the log")
    return Step(part, found, "brought back; nothing sent twice" if name == NOTIFIER else "")


def _note_step(trace: Trace, stands: int) -> Step:
    found = _place("not in the log:", trace.place)
    if trace.explained:
        return Step(trace.source, f"{found}; explained by an earlier restoration")
    if trace.place.position <= stands:
        return Step(trace.source, f"{found}; no restore explains that")
    return Step(trace.source, found, "explained by what is signed")


def _place(words: str, place: Cursor) -> str:
    known = f" ({place.hash.hex()[:12]}…)" if place.hash != GENESIS_HASH else ""
    return f"{words} {place.position}{known}"
