"""Time by outside companies: the Date of their answers, carried on by the uptime clock.

It judges between the database's clock and this machine's (docs/decisions/log-door.md). It is outside input:
what is no date, or was kept by a cache, is passed over, and of three companies one whose clock is wrong is
outvoted.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from statistics import median_low
from typing import Any, Final

from ledger.log.clock import CarriedTime, uptime_us
from services.platform.endpoints import CompanyName

_DATE: Final = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", re.ASCII)
_EARLIEST_US: Final = 1_767_225_600_000_000
"""2026: before this was written it is not."""
_LATEST_US: Final = 4_102_444_800_000_000
"""2100: beyond, a signed 32-bit or a joke."""
_CUT_OFF_US: Final = 500_000
"""A Date has whole seconds: half of one is missing on average."""
_STOOD_US: Final = 60_000_000
"""Clocks agree within that."""


class Witness:
    """What each company said last. One per process: see WITNESS."""

    def __init__(self) -> None:
        self._seen: dict[CompanyName, CarriedTime] = {}

    def see(self, company: CompanyName, headers: Mapping[str, str]) -> None:
        """Take in an answer's Date. `headers` find names in any case."""
        date = headers.get("Date", "")
        if "Age" in headers or not _DATE.fullmatch(date):
            return
        with suppress(ValueError):
            told_us = round(parsedate_to_datetime(date).timestamp()) * 1_000_000 + _CUT_OFF_US
            if _EARLIEST_US < told_us < _LATEST_US:
                before = self._seen.get(company)
                if before is not None and told_us > (before.now_us() or told_us) + _STOOD_US:
                    self._seen.clear()  # this machine stood still, and what it carried on is late by as much
                self._seen[company] = CarriedTime(told_us, uptime_us())

    def hook(self, company: CompanyName) -> Callable[[Any], Awaitable[None]]:
        """For the event hook `response` of an httpx client."""

        async def seen(response: Any) -> None:
            self.see(company, response.headers)

        return seen

    def now_us(self) -> int | None:
        """Epoch microseconds; None when nobody was heard in the last ten minutes."""
        told = [now_us for seen in self._seen.values() if (now_us := seen.now_us()) is not None]
        return median_low(told) if told else None


WITNESS: Final = Witness()
"""This process's, fed by the companies' clients."""
