"""How fast the log grows, from one look to the next. Pure."""

from collections import deque

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
