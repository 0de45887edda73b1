"""What is signed: its exact text, and that nothing else is taken for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.envelope import GENESIS, Cursor
from ledger.checkpoints.checkpoint import (
    Checkpoint,
    Restored,
    current_origin,
    keys_of,
    one_line,
    open_statement,
    parse_text,
    rotate,
    sign,
    time_of,
    time_text,
)
from ledger.checkpoints.signed_note import MalformedNoteError, SignatureError, new_key
from tests.support.each import each

HEAD = Cursor(12, b"\xab" * 32)
CHECKPOINT = Checkpoint("neurocards.example/ledger", 12, b"\x01" * 32)
RESTORED = Restored(
    "log", Cursor(12, b"\x0c" * 32), Cursor(7, b"\x07" * 32), Cursor(9, b"\x09" * 32), "anna",
    "failover to a standby that was behind", 1_795_345_478_000_042,
)  # fmt: skip


def test_the_text_of_a_checkpoint() -> None:
    assert CHECKPOINT.text() == (
        "neurocards.example/ledger\n12\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
    )


def test_the_text_of_a_restoration() -> None:
    assert RESTORED.text() == (
        f"log restored\nlost 12 {'0c' * 32}\nkept 7 {'07' * 32}\nhead 9 {'09' * 32}\nactor anna\n"
        "reason failover to a standby that was behind\ntime 2026-11-22T11:04:38.000042Z\n"
    )


@each("statement", [CHECKPOINT, RESTORED])
def test_reading_gives_back_what_was_written(statement: Checkpoint | Restored) -> None:
    assert parse_text(statement.text()) == statement


FORGED: dict[Checkpoint | Restored, list[tuple[str, str]]] = {
    CHECKPOINT: [
        ("\n12\n", "\n012\n"),
        ("\n12\n", "\n-1\n"),
        ("\n12\n", "\n+12\n"),
        ("\n12\n", "\n 12\n"),
        ("\n12\n", "\n1_2\n"),
        ("\n12\n", "\n١٢\n"),
        ("\n12\n", f"\n{2**63}\n"),
        ("\n12\n", "\n"),
        ("\n12\n", f"\n{'9' * 5000}\n"),
        ("AQE=", "AQF="),
        ("AQE=", "AQE"),
        ("AQEB", ""),
        ("AQE=", "AQE=\n"),
        ("AQE=\n", f"AQE=\nhead {'ab' * 32}\n"),
        ("AQE=\n", "AQE="),
        ("ledger\n", "ledger \n"),
        ("neurocards.example/ledger", ""),
        ("ledger\n", "led\u00a0ger\n"),
    ],
    RESTORED: [
        ("lost 12", "lost 012"),
        ("lost 12", "lost +12"),
        ("kept 7", "kept 7 "),
        ("0c0c", "0C0C"),
        ("lost 12", f"lost {2**63}"),
        ("actor anna", "actor  anna"),
        ("actor anna\n", ""),
        ("T11", " 11"),
        ("T11", "T٢٢"),
        (".000042Z", "Z"),
        ("time", f"head 1 {'0' * 64}\ntime"),
        ("kept", f"head 1 {'0' * 64}\nkept"),
        ("lost 12", "lost"),
        ("reason failover", "reason \u2028failover"),
        ("restored\n", "restored\n\n"),
        ("2026-11-22", "2026-13-22"),
        ("2026", "0000"),
        ("log restored", " restored"),
    ],
}


def test_a_statement_has_one_form() -> None:
    for statement, changes in FORGED.items():
        text = statement.text()
        for old, new in changes:
            assert old in text
            with pytest.raises(MalformedNoteError):
                parse_text(text.replace(old, new, 1))


@given(st.sampled_from([CHECKPOINT, RESTORED]), st.data())
def test_nothing_that_is_nearly_a_statement_is_another_form_of_it(
    statement: Checkpoint | Restored, data: st.DataObject
) -> None:
    text = statement.text()
    at = data.draw(st.integers(0, len(text) - 1))
    piece = data.draw(
        st.sampled_from(["", "0", " ", "\n", "+", "٥", "=", text[at] * 2, text[at:] + text[at:]])
    )
    forged = text[:at] + piece + text[at + 1 :]
    try:
        found = parse_text(forged)
    except MalformedNoteError:
        return
    assert found.text() == forged and (found != statement or forged == text)


def test_a_statement_is_of_the_log_that_its_key_is_named_after() -> None:
    key, stranger = new_key("log"), new_key("other")
    for origin in ("log", "log/2"):
        one = Checkpoint(origin, 12, b"\x01" * 32)
        note = sign(one, [key])
        assert open_statement(note, key.public, restored=True) == one
        assert open_statement(note, stranger.public, key.named(origin).public) == one
    with pytest.raises(SignatureError, match=r"the note is of log/2"):
        open_statement(note, key.public)
    with pytest.raises(SignatureError, match="not signed by"):
        open_statement(stranger.sign(CHECKPOINT.text()), stranger.public)
    with pytest.raises(SignatureError, match=r"not signed by log\+"):
        open_statement(
            sign(replace(CHECKPOINT, origin="log"), [stranger]).replace("other", "log"), key.public
        )


def test_the_log_has_the_next_name_after_each_restoration() -> None:
    names = [("log", []), ("log", ["log"]), ("log/2", ["log/2"])]
    for name, origins in names:
        assert current_origin("log", [replace(CHECKPOINT, origin=origin) for origin in origins]) == name
    assert current_origin("log", [RESTORED]) == "log/2"
    assert current_origin("log", [RESTORED, replace(RESTORED, origin="log/2"), CHECKPOINT]) == "log/3"


def test_a_key_is_handed_over_by_both() -> None:
    old, new, thief = (new_key("log") for _ in range(3))
    event = rotate(old, new, "login:op", "why")
    assert keys_of(event) == (old.public, new.public)
    signed_once = rotate(new, new, "login:op", "why")
    for forged in (
        replace(event, signatures=event.signatures.splitlines(keepends=True)[0]),
        replace(event, old=str(thief.public)), replace(event, new=str(thief.public)),
        replace(event, signatures=""), replace(event, new=""), replace(signed_once, old=str(old.public)),
    ):  # fmt: skip
        with pytest.raises(SignatureError):
            keys_of(forged)


@each("word", ["lost", "kept", "head", "actor", "reason", "time"])
def test_what_is_no_restoration(word: str) -> None:
    with pytest.raises(MalformedNoteError):
        parse_text(RESTORED.text().replace(f"{word} ", "else "))


@given(st.text())
def test_a_persons_words_can_add_no_line(words: str) -> None:
    line = one_line(words)
    assert line.splitlines() == [line] and line.isprintable()
    assert one_line(line) == line
    told = Restored("log", HEAD, GENESIS, HEAD, words, words, 0)
    assert parse_text(told.text()) == Restored("log", HEAD, GENESIS, HEAD, line, line, 0)


@given(st.integers(0, 4_000_000_000_000_000))
def test_times_keep_their_microsecond(time_us: int) -> None:
    assert time_of(time_text(time_us)) == time_us


@each(
    ("place", "seen", "explained"),
    [
        (Cursor(12, b"\x0c" * 32), 0, True),
        (Cursor(8, bytes(32)), "log", True),
        (Cursor(12, bytes(32)), "log", True),
        (Cursor(8, bytes(32)), "log/2", False),
        (Cursor(8, bytes(32)), "other", False),
        (Cursor(8, b"x" * 32), 0, True),
        (Cursor(8, b"x" * 32), RESTORED.time_us + 1, False),
        (Cursor(12, b"x" * 32), 0, False),
        (Cursor(13, b"x" * 32), 0, False),
        (Cursor(7, b"x" * 32), 0, False),
    ],
)
def test_what_a_restoration_explains(place: Cursor, seen: int | str, explained: bool) -> None:
    assert RESTORED.explains(place, seen) == explained


def test_a_lost_place_of_which_only_the_position_is_known_may_have_had_any_hash() -> None:
    vague = replace(RESTORED, lost=Cursor(12, bytes(32)))
    assert vague.explains(Cursor(12, b"x" * 32), 0)
    assert not vague.explains(Cursor(13, b"x" * 32), 0)
