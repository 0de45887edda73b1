"""`neurocards top` as a picture: what it says of made-up facts, on screens of several widths."""

from io import StringIO

from msgspec.structs import replace
from rich.console import Console

from services.cli.top.model import (
    ErrorLine,
    Facts,
    InPostgres,
    ModelLine,
    OldestJob,
    Process,
    Provider,
    Pulse,
    Throughput,
    Waiting,
)
from services.cli.top.render import frame
from services.generation.provider_limits import ProviderAccount
from services.streams.status import ConsumerLine, ReaderLine, StreamLine
from tests.support.each import each

LOG = InPostgres(
    throughput=Throughput(20.0, 1200, 40, 44, 30, 6),
    jobs={"rendering": 12, "queued": 3},
    processes=[Process(f"host:{n}", {"rendering": n + 1}) for n in range(14)],
    oldest=OldestJob("job-1", "rendering", "some/model", 800.0, -12.0),
    errors=[ErrorLine("transient", "some/model", 2, 7, 61.0, "500 [bold]over[/bold] \x1b[2Jloaded " * 20)],
    models=[ModelLine("other/model", "paused", "ann", "ugly [videos]", 30.0, None)],
    waiting=Waiting(4, 5, 6, 7200.0, {}),
)
FACTS = Facts(
    taken_at="2026-11-25T19:50:45.127Z",
    head=1234567,
    log=LOG,
    streams=[StreamLine("{neurocards}:ledger", 10, 1, 10, "as the log", 1000)],
    readers=[ReaderLine("balances", 10, 7, 61.0), ReaderLine("generation", 9, 0, 0.0, None, 3, 12.0)],
    seats=[ConsumerLine("w1", 3, None), ConsumerLine("w2", 4, 1.5)],
    provider=Provider([ProviderAccount("k1", 12.5, 3.0, 0.0, 16), ProviderAccount("k2", None, None, 9.0, 0)],
                      2, 20, 10.0),
)  # fmt: skip


def drawn(facts: Facts, width: int = 140, pulse: Pulse | None = None) -> str:
    console = Console(file=StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(frame(facts, pulse or Pulse(), width, "q leaves"))
    return captured.get()


def test_it_tells_what_goes_on():
    shown = drawn(FACTS)
    for words in (
        "log at 1,234,567", "60.0", "2.00 ordered · 1.50 made · 0.30 failed", "2.20",
        "3 queued · 12 rendering", "12.0 s over its deadline", "dead letters 6", "verified 2 h ago",
        "16 of 20", "rests 9.0 s", "2 submissions wait", "until resumed", "ann: ugly [videos]",
        "500 [bold]over[/bold]", "and 2 more", "renewed 1.5 s ago", "1 min 1 s", "q leaves",
    ):  # fmt: skip
        assert words in shown, words
    assert "\x1b" not in shown


@each("width", [40, 80, 109, 110, 200])
def test_it_fits_every_screen(width: int):
    assert max(map(len, drawn(FACTS, width).splitlines())) <= width


def test_a_server_that_is_away_is_said_above_what_was_seen_last():
    nothing = drawn(Facts("2026-11-25T19:50:45.127Z", postgres="Postgres does not answer"))
    assert "Postgres does not answer" in nothing
    shown = drawn(replace(FACTS, redis="Redis does not answer"))
    assert shown.index("Redis does not answer") < shown.index("seen last") < shown.index("12 rendering")


@each(
    ("facts", "words"),
    [
        (replace(FACTS, streams=[replace(FACTS.streams[0], tail="differs from the log")]), "differs from"),
        (replace(FACTS, streams=[replace(FACTS.streams[0], tail="missing")]), "ledger: missing"),
        (replace(FACTS, readers=[ReaderLine("lots", 9, 0, 0.0, held=False)]), "neurocards recover"),
        (replace(FACTS, log=replace(LOG, waiting=Waiting(0, 0, 0, 1.0, {"chain": 2}))), "found 2 chain"),
    ],
)
def test_what_needs_somebody_now_is_said_first(facts: Facts, words: str):
    assert any(words in line for line in drawn(facts).splitlines()[1:3])
    assert "is shown of it" not in drawn(facts)


def test_a_system_that_nobody_uses_is_no_error():
    empty = InPostgres(Throughput(60.0, 0, 0, 0, 0, 0), {}, [], None, [], [], Waiting(0, 0, 0, None, {}))
    shown = drawn(Facts("2026-11-25T19:50:45.127Z", log=empty))
    for words in ("none", "all available", "nobody works", "verified never", "not seen yet"):
        assert words in shown


def test_the_pulse_is_between_two_looks():
    pulse = Pulse(kept=3)
    assert (pulse.now, pulse.bars()) == (None, "")
    for at_s, head in ((0.0, 100), (1.0, 100), (2.0, 140), (4.0, 180), (5.0, 280)):
        pulse.beat(at_s, head)
    assert (pulse.now, pulse.bars()) == (100.0, "▄▂█")
    pulse.beat(6.0, 10)  # the log went back
    assert (pulse.now, pulse.bars()) == (None, "")
    assert "100.0 █" in drawn(FACTS, pulse=_beaten())


def _beaten() -> Pulse:
    pulse = Pulse()
    pulse.beat(0.0, 0)
    pulse.beat(1.0, 100)
    return pulse
