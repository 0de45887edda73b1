"""A process whose wall clock is wrong."""

import datetime
import sys
import time
from types import SimpleNamespace

import msgspec.toml


def shift_clock(off_s: int) -> None:
    """Make this process's wall clock wrong by so many seconds.

    Every way in which Python tells the time of day; also where it was imported by name already.
    """
    now, now_ns, real = time.time, time.time_ns, datetime.datetime

    class Shifted(real):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + datetime.timedelta(seconds=off_s)

        @classmethod
        def utcnow(cls):
            return cls.now(datetime.UTC).replace(tzinfo=None)

        @classmethod
        def today(cls):
            return cls.now()

    # Where msgspec reads TOML it names the class, and only the real one will do; it asks for no time.
    kept = {name: getattr(datetime, name) for name in ("datetime", "date", "time")}
    vars(msgspec.toml)["_datetime"] = SimpleNamespace(**kept)
    wrong = {now: lambda: now() + off_s, now_ns: lambda: now_ns() + off_s * 10**9, real: Shifted}
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if any(value is told for told in wrong):
                setattr(module, name, wrong[value])
    assert abs(time.time() - now() - off_s) < 1
