"""What an event looks like in the streams, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.account import CreditsGranted
from events.codec import encode
from events.envelope import GENESIS, Recorded
from events.job import JobQueued
from ledger.log.hash_chain import sequence_break
from services.streams import entries
from services.streams.entries import JobEntry, StreamError
from tests.support.each import each
from tests.support.history import History

QUEUED = JobQueued("a", "o", 1, 1, 1, "m", "ugc", "p", "b", "ru", 5)


def history() -> list[Recorded]:
    history = History()
    history.record(("account-a", CreditsGranted(1, "manual", 'для «теста» 🎬 \\ " \u2028', 1)))
    history.record(("job-j", QUEUED))
    return history.events


@given(st.text())
def test_an_entry_keeps_the_exact_row_so_that_the_chain_can_be_verified(reason: str):
    history = History()
    history.record(("account-a", CreditsGranted(1, "manual", reason, 1)))
    history.record(("job-j", QUEUED))
    decoded = [
        entries.decode_entry(f"{e.position}-0".encode(), {b"event": entries.encode_entry(e)})
        for e in history.events
    ]
    assert decoded == history.events
    assert sequence_break(GENESIS, decoded) is None


def test_text_that_our_codec_would_write_otherwise_is_kept():
    (event,) = History().record(("account-a", CreditsGranted(1, "manual", "x", 1)))
    spaced = replace(event, data='{ "amount" : 1.0,"kind":"manual","reason":"\\u0041","lot":1}')
    assert encode(CreditsGranted(1, "manual", "A", 1)) != spaced.data
    assert entries.decode_entry("1-0", {b"event": entries.encode_entry(spaced)}) == spaced


def test_the_end_of_an_entry_tells_its_hash():
    for event in history():
        entry = entries.encode_entry(event)
        assert entry.endswith(entries.entry_ending(event.hash))
        assert not entry.endswith(entries.entry_ending(bytes(32)))


@each(
    ("entry", "fields"),
    [
        ("1-0", None),
        ("1-0", {}),
        ("1-0", {b"other": b"{}"}),
        ("1-0", {b"event": b"{"}),
        ("1-0", {b"event": b"{}"}),
        ("2-0", {b"event": entries.encode_entry(history()[0])}),
        ("1-1", {b"event": entries.encode_entry(history()[0])}),
        ("1700000000000-0", {b"event": entries.encode_entry(history()[0])}),
    ],
)
def test_what_the_relay_did_not_write_is_refused(entry: str, fields: dict[bytes, bytes] | None):
    with pytest.raises(StreamError, match=entry):
        entries.decode_entry(entry, fields)


@each(("entry", "position"), [("7-0", 7), (b"7-0", 7), ("7-1", None), ("7", None), ("-0", None)])
def test_only_ids_of_the_relay_are_positions(entry: str | bytes, position: int | None):
    assert entries.position_of(entry) == position


def test_generation_gets_what_it_must_act_on():
    granted, queued = history()
    assert entries.job_entry(granted) is None
    assert entries.job_entry(queued) == JobEntry(2, "j", "JobQueued")
    assert entries.decode_job(b"2-0", {b"job": b"j", b"type": b"JobQueued"}) == JobEntry(2, "j", "JobQueued")


def test_a_trimmed_pending_entry_has_no_job():
    with pytest.raises(StreamError):
        entries.decode_job(b"2-0", None)
