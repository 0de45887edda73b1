"""What `neurocards top` shows, as data: the same for people and for programs. All ages are in seconds."""

from collections import deque

import msgspec

from services.generation.provider_limits import ProviderAccount
from services.streams.status import ConsumerLine, ReaderLine, StreamLine


class Throughput(msgspec.Struct, frozen=True):
    """Counts of the last `seconds`."""

    seconds: float
    events: int
    jobs_queued: int
    submissions: int
    videos: int
    failures: int

    def per_s(self, count: int) -> float:
        return count / self.seconds


class OldestJob(msgspec.Struct, frozen=True):
    """The unfinished job that was ordered first; `left_s` until its deadline."""

    job: str
    state: str
    model: str
    age_s: float
    left_s: float


class ErrorLine(msgspec.Struct, frozen=True):
    """A class of errors of a model in the last minutes, counted by whole hours; the newest came `ago_s`."""

    error_class: str
    model: str
    jobs: int
    submissions: int
    ago_s: float
    sentence: str


class ModelLine(msgspec.Struct, frozen=True):
    """A model that is not available: for how long, and how long it rests (None: an operator must say so)."""

    model: str
    state: str
    set_by: str
    reason: str
    since_s: float
    rests_s: float | None


class Process(msgspec.Struct, frozen=True):
    """A worker's process by the name it gives itself, and its unfinished jobs by state."""

    worker: str
    jobs: dict[str, int]


class Waiting(msgspec.Struct, frozen=True):
    """What waits for the bot, the notifier, an operator. `problems`: what verification found, by kind.

    `verified_s` ago it ended; None: never.
    """

    updates: int
    messages: int
    dead_letters: int
    verified_s: float | None
    problems: dict[str, int]


class InPostgres(msgspec.Struct, frozen=True):
    """What Postgres alone knows."""

    throughput: Throughput
    jobs: dict[str, int]
    processes: list[Process]
    oldest: OldestJob | None
    errors: list[ErrorLine]
    models: list[ModelLine]
    waiting: Waiting


class Provider(msgspec.Struct, frozen=True):
    """Our accounts with the provider, and how many submissions wait for their turn.

    `creations_max` is how many an account may create in `window_s`.
    """

    accounts: list[ProviderAccount]
    turns_waited_for: int
    creations_max: int
    window_s: float


class Facts(msgspec.Struct, frozen=True):
    """One look. `postgres` and `redis` are why a server says nothing, None when it does.

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
    """The events per second between the newest looks."""

    def __init__(self, kept: int = 24) -> None:
        self._rates: deque[float] = deque(maxlen=kept)
        self._last: tuple[float, int] | None = None

    def beat(self, at_s: float, head: int) -> None:
        """The log's head at a time. A head that went back begins anew."""
        if self._last is not None:
            before_s, before = self._last
            if head < before:
                self._rates.clear()
            elif at_s > before_s:
                self._rates.append((head - before) / (at_s - before_s))
        self._last = (at_s, head)

    @property
    def now(self) -> float | None:
        """Between the last two looks; None before there were two."""
        return self._rates[-1] if self._rates else None

    def bars(self) -> str:
        """One bar per look, the newest last, the highest as high as it goes."""
        highest = max(self._rates, default=0.0)
        if not highest:
            return _BARS[0] * len(self._rates)
        return "".join(_BARS[round(rate / highest * (len(_BARS) - 1))] for rate in self._rates)
