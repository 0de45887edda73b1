"""Data of `neurocards top`, for people and programs. Ages are in seconds."""

from collections import deque

import msgspec

from services.generation.provider_limits import ProviderAccount
from services.streams.status import ConsumerLine, ReaderLine, StreamLine


class Throughput(msgspec.Struct, frozen=True):
    seconds: float
    events: int
    jobs_queued: int
    submissions: int
    videos: int
    failures: int

    def per_s(self, count: int) -> float:
        return count / self.seconds


class OldestJob(msgspec.Struct, frozen=True):
    """The oldest unfinished job; `left_s` until its deadline."""

    job: str
    state: str
    model: str
    age_s: float
    left_s: float


class ErrorLine(msgspec.Struct, frozen=True):
    """Recent errors of one class and model, by whole hours; the newest `ago_s`."""

    error_class: str
    model: str
    jobs: int
    submissions: int
    ago_s: float
    code: str


class ModelLine(msgspec.Struct, frozen=True):
    """An unavailable model: for how long, and its rest (None: until an operator says so)."""

    model: str
    state: str
    set_by: str
    reason: str
    since_s: float
    rests_s: float | None


class Process(msgspec.Struct, frozen=True):
    """A worker's process by its own name; its unfinished jobs by state."""

    worker: str
    jobs: dict[str, int]


class Waiting(msgspec.Struct, frozen=True):
    """What waits. `problems`: findings by kind of the verification `verified_s` ago; None: never."""

    updates: int
    messages: int
    dead_letters: int
    verified_s: float | None
    problems: dict[str, int]


class InPostgres(msgspec.Struct, frozen=True):
    throughput: Throughput
    jobs: dict[str, int]
    processes: list[Process]
    oldest: OldestJob | None
    errors: list[ErrorLine]
    models: list[ModelLine]
    waiting: Waiting


class Provider(msgspec.Struct, frozen=True):
    """Our accounts with the provider; each may create `creations_max` tasks in `window_s`."""

    accounts: list[ProviderAccount]
    turns_waited_for: int
    creations_max: int
    window_s: float


class Facts(msgspec.Struct, frozen=True):
    """One look. `postgres` and `redis`: why a server says nothing; None when it does.

    While one is away its part is what was seen last, None or empty before it ever was. `look_s` is how long
    the look took.
    """

    taken_at: str
    head: int = 0
    epoch: str = ""
    log: InPostgres | None = None
    streams: list[StreamLine] = []
    readers: list[ReaderLine] = []
    seats: list[ConsumerLine] = []
    provider: Provider | None = None
    postgres: str | None = None
    redis: str | None = None
    look_s: float = 0.0


# How fast the log grows, from one look to the next. Pure.


_BARS = "▁▂▃▄▅▆▇█"


class Pulse:
    def __init__(self, kept: int = 24) -> None:
        self._rates: deque[float] = deque(maxlen=kept)
        self._last: tuple[float, int] | None = None

    def beat(self, at_s: float, head: int) -> None:
        """Note the log's head. A head that went back begins anew."""
        if self._last is not None:
            before_s, before = self._last
            if head < before:
                self._rates.clear()
            elif at_s > before_s:
                self._rates.append((head - before) / (at_s - before_s))
        self._last = (at_s, head)

    @property
    def now(self) -> float | None:
        """None before there were two looks."""
        return self._rates[-1] if self._rates else None

    def bars(self) -> str:
        """One bar per look, the newest last, scaled to the highest."""
        highest = max(self._rates, default=0.0)
        if not highest:
            return _BARS[0] * len(self._rates)
        return "".join(_BARS[round(rate / highest * (len(_BARS) - 1))] for rate in self._rates)
