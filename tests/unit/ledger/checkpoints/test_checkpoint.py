"""What is signed: its exact text, and that nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.checkpoint import (
    Books,
    Checkpoint,
    Restored,
    SignedState,
    one_line,
    parse,
    time_of,
    time_text,
)
from ledger.checkpoints.signed_note import MalformedNoteError
from tests.support.each import each

HEAD = Cursor(12, b"\xab" * 32)
CHECKPOINT = Checkpoint(
    "neurocards.example/ledger", HEAD, b"\x01" * 32, (SignedState("balances", 11, "cd" * 32),),
    Books(11, (("accounts", 2), ("debt", -3))), 1_795_345_478_000_042,
)  # fmt: skip
RESTORED = Restored(
    "log", Cursor(12, b"\x0c" * 32), Cursor(7, b"\x07" * 32), Cursor(9, b"\x09" * 32), "anna",
    "failover to a standby that was behind", 1_795_345_478_000_042,
)  # fmt: skip


def test_the_text_of_a_checkpoint() -> None:
    assert CHECKPOINT.text() == (
        "neurocards.example/ledger\n12\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
        f"head {'ab' * 32}\nstate balances 11 {'cd' * 32}\nbooks 11 accounts=2 debt=-3\n"
        "time 2026-11-22T11:04:38.000042Z\n"
    )


def test_the_text_of_a_restoration() -> None:
    assert RESTORED.text() == (
        f"log restored\nlost 12 {'0c' * 32}\nkept 7 {'07' * 32}\nhead 9 {'09' * 32}\nactor anna\n"
        "reason failover to a standby that was behind\ntime 2026-11-22T11:04:38.000042Z\n"
    )


@each("statement", [CHECKPOINT, RESTORED])
def test_reading_gives_back_what_was_written(statement: Checkpoint | Restored) -> None:
    assert parse(statement.text()) == statement


def test_lines_of_a_later_version_are_no_reason_to_refuse_a_checkpoint() -> None:
    assert parse(CHECKPOINT.text() + "witnessed by nobody\n") == CHECKPOINT


@each(
    ("old", "new"),
    [
        ("\n12\n", "\n012\n"), ("\n12\n", "\n-1\n"), ("\n12\n", "\n1 2\n"), ("AQE=", "AQF="), ("AQEB", "", ),
        ("head ", "tail "), ("time ", "date "), ("T11", " 11"), (".000042Z", "Z"), ("books 11", "books x"),
        ("cdcd", "CDCD"), ("balances 11", "balances"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint(old: str, new: str) -> None:
    text = CHECKPOINT.text()
    assert old in text
    with pytest.raises(MalformedNoteError):
        parse(text.replace(old, new))


@each("word", ["lost", "kept", "head", "actor", "reason", "time"])
def test_what_is_no_restoration(word: str) -> None:
    with pytest.raises(MalformedNoteError):
        parse(RESTORED.text().replace(f"{word} ", "else "))


@given(st.text())
def test_a_persons_words_can_add_no_line(words: str) -> None:
    line = one_line(words)
    assert line.splitlines() == [line] and line.isprintable()
    told = Restored("log", HEAD, GENESIS, HEAD, words, words, 0)
    assert parse(told.text()) == Restored("log", HEAD, GENESIS, HEAD, line, line, 0)


@given(st.integers(0, 4_000_000_000_000_000))
def test_times_keep_their_microsecond(time_us: int) -> None:
    assert time_of(time_text(time_us)) == time_us


@each(
    ("place", "time_us", "explained"),
    [
        (Cursor(12, b"\x0c" * 32), 0, True),
        (Cursor(8, b"x" * 32), 0, True),
        (Cursor(8, b"x" * 32), RESTORED.time_us + 1, False),
        (Cursor(12, b"x" * 32), 0, False),
        (Cursor(13, b"x" * 32), 0, False),
        (Cursor(7, b"x" * 32), 0, False),
    ],
)
def test_what_a_restoration_explains(place: Cursor, time_us: int, explained: bool) -> None:
    assert RESTORED.explains(place, time_us) == explained


def test_a_lost_place_of_which_only_the_position_is_known_may_have_had_any_hash() -> None:
    vague = replace(RESTORED, lost=Cursor(12, bytes(32)))
    assert vague.explains(Cursor(12, b"x" * 32), 0)
    assert not vague.explains(Cursor(13, b"x" * 32), 0)
