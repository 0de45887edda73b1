"""Events survive the way to JSON and back, whatever text came from outside."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.account import AccountOpened, CreditsCharged, CreditsGranted, Part
from events.codec import EVENT_TYPES, Event, clean_text, decode_data, encode
from events.errors import CodecError, UnknownEventTypeError
from events.job import Failure, JobFailed
from tests.support.each import each


def test_every_event_of_the_union_is_registered_under_its_name():
    assert {cls.__name__ for cls in typing.get_args(Event)} == set(EVENT_TYPES)


@each("cls", EVENT_TYPES.values())
def test_events_are_frozen(cls):
    assert cls.__struct_config__.frozen


@given(st.text(st.characters(codec=None), max_size=80))
def test_any_text_encodes_to_what_postgres_takes_and_decodes_to_the_cleaned_text(text):
    data = encode(JobFailed("operator", Failure("transient"), "", text))
    assert "\\u0000" not in data.replace("\\\\", "")
    data.encode()  # no lone surrogates
    event = decode_data("JobFailed", data)
    assert isinstance(event, JobFailed)
    assert event.reason == clean_text(text)


def test_what_postgres_does_not_take_is_left_out_wherever_it_stands():
    parts = (Part(1, 2, "bonus"), Part(2, 1, "purchase", 5))
    for bad in ("\x00", "\ud800", "\udfff\x00"):
        data = encode(CreditsCharged(f"j{bad}", "o", 3, parts))
        assert decode_data("CreditsCharged", data) == CreditsCharged("j", "o", 3, parts)


def test_a_literal_backslash_u0000_is_text_like_any_other():
    data = encode(AccountOpened(origin="\\u0000"))
    assert decode_data("AccountOpened", data) == AccountOpened(origin="\\u0000")


def test_an_unknown_type_says_so_with_its_position():
    with pytest.raises(UnknownEventTypeError, match="'Invented' at position 7"):
        decode_data("Invented", "{}", 7)


def test_fields_of_the_wrong_type_are_an_error_and_not_a_guess():
    with pytest.raises(CodecError, match="CreditsGranted at position 3"):
        decode_data("CreditsGranted", '{"amount":"5","kind":"bonus","reason":"x"}', 3)


def test_fields_added_later_do_not_hinder_older_code():
    data = '{"amount":5,"kind":"bonus","reason":"x","lot":1,"colour":"red"}'
    assert decode_data("CreditsGranted", data) == CreditsGranted(5, "bonus", "x", 1)


def test_an_oversized_event_is_refused():
    with pytest.raises(CodecError, match="the limit is"):
        encode(AccountOpened(origin="x" * 70_000))
