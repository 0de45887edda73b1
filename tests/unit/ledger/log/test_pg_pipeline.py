"""Answers of Postgres, however the network cuts them."""

import asyncio
from struct import pack
from types import SimpleNamespace

import asyncpg
import pytest

from ledger.log.pg_pipeline import SYNC, PipelinedConnection, execute, parse


class Transport:
    def __init__(self) -> None:
        self.sent = b""
        self.closing = False

    def set_protocol(self, protocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True
        self.protocol.connection_lost(None)


def message(kind: bytes, body: bytes) -> bytes:
    return kind + pack(">i", len(body) + 4) + body


def row(*columns: bytes | None) -> bytes:
    cells = b"".join(pack(">i", -1) if c is None else pack(">i", len(c)) + c for c in columns)
    return message(b"D", pack(">h", len(columns)) + cells)


BOUND, DONE, READY = message(b"2", b""), message(b"C", b"SELECT 1\0"), message(b"Z", b"T")
NOTICE = message(b"N", b"SNOTICE\0C00000\0Mhello\0\0")
DUPLICATE = message(b"E", b"SERROR\0C23505\0Mtwice\0nevents_key\0\0")
ENDED = message(b"E", b"SFATAL\0C25P03\0Mtoo long\0\0")


@pytest.fixture
async def wire():
    connection = SimpleNamespace(_transport=Transport(), terminate=lambda: None)
    return PipelinedConnection(connection)  # type: ignore[arg-type]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
async def test_answers_come_back_together_however_they_are_cut(wire, piece):
    first, second = wire.ask(parse("A", "SELECT 1")), wire.ask(execute("A", b"x", None))
    answer = BOUND + row(b"1", None) + row(b"") + DONE + NOTICE + BOUND + DONE + READY
    answer += BOUND + row(b"x" * 300) + DONE + READY
    for start in range(0, len(answer), piece):
        wire.data_received(answer[start : start + piece])
    assert await first == [[[b"1", None], [b""]], []]
    assert await second == [[[b"x" * 300]]]
    assert wire._transport.sent.endswith(SYNC)


async def test_an_error_is_that_question_s_alone_and_of_asyncpg_s_class(wire):
    bad, good = wire.ask(b""), wire.ask(b"")
    wire.data_received(BOUND + row(b"1") + DUPLICATE + READY + DONE + READY)
    with pytest.raises(asyncpg.UniqueViolationError) as error:
        await bad
    assert error.value.constraint_name == "events_key"
    assert await good == [[]]


async def test_a_lost_connection_fails_all_that_wait_with_the_servers_last_word(wire):
    waiting = [wire.ask(b""), wire.ask(b"")]
    wire.data_received(ENDED)
    wire.connection_lost(None)
    for future in waiting:
        with pytest.raises(asyncpg.IdleInTransactionSessionTimeoutError):
            await future
    assert wire.closed
    with pytest.raises(asyncpg.InterfaceError):
        await wire.ask(b"")


async def test_a_server_that_falls_silent_is_given_up(wire):
    wire._answer_s_max = 0.05
    answered, unanswered = wire.ask(b""), wire.ask(b"")
    wire.data_received(DONE + READY)
    assert await answered == [[]]
    with pytest.raises(TimeoutError):
        await unanswered
    assert wire.closed


async def test_who_gave_up_does_not_shift_the_answers_of_others(wire):
    gone, kept = wire.ask(b""), wire.ask(b"")
    gone.cancel()
    wire.data_received(row(b"1") + DONE + READY + row(b"2") + DONE + READY)
    assert await kept == [[[b"2"]]]
    with pytest.raises(asyncio.CancelledError):
        await gone


def test_values_are_bound_with_their_lengths_and_formats():
    sent = execute("S", b"12", None, b"\0\1", binary=b"\0\0\1")
    body = b"\0S\0" + pack(">hhhh", 3, 0, 0, 1) + pack(">h", 3)
    body += pack(">i", 2) + b"12" + pack(">i", -1) + pack(">i", 2) + b"\0\1" + pack(">h", 0)
    assert sent == message(b"B", body) + message(b"E", b"\0" + pack(">i", 0))
