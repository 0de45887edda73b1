"""Every process that appends says first which code and settings it is."""

import asyncio

import msgspec

from events.system import SystemStarted
from ledger.log.ledger import Ledger
from services import __version__
from tests.support.services import Services


async def test_each_process_that_appends_tells_its_start_each_time(
    services: Services, ledger: Ledger
) -> None:
    def start(number: int, *processes: str) -> None:
        for process in processes:
            services.start(process, name=f"{process}-{number}", WEB_PORT=0)

    await asyncio.to_thread(start, 1, "bot", "web", "worker", "monitor", "maintenance", "relay")
    await asyncio.to_thread(start, 2, "monitor")
    events = [event for event in await ledger.read.events_after(0) if event.type == "SystemStarted"]
    told = [msgspec.json.decode(event.data, type=SystemStarted) for event in events]
    processes = ["bot", "web", "worker", "monitor", "maintenance", "monitor"]
    assert [event.stream for event in events] == [f"system-{process}" for process in processes]
    assert [start.process for start in told] == processes
    assert {start.version for start in told} == {__version__}
    monitors = {start.settings for start in told if start.process == "monitor"}
    assert len(monitors) == 1, "what differs between instances is no other setting"
