"""Ids: of one form, sorted by the time they were made, or telling nothing."""

import re
import time

import pytest

from services.platform.ids import CODE_PATTERN, ID_PATTERN, Code, new_code, new_id, new_random_id, told


def test_ids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for ms in (0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001, 2**48 - 1):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        made.append(new_id())
    assert made == sorted(made)  # by code points, as collation C sorts
    assert all(re.fullmatch(ID_PATTERN, one) for one in made)
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100 and all(re.fullmatch(CODE_PATTERN, code) for code in codes)


def test_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert len({new_id() for _ in range(1000)}) == 1000


def test_a_random_id_does_not_tell_when_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    made = [new_random_id() for _ in range(100)]
    assert len({one[:9] for one in made}) > 90
    assert all(re.fullmatch(ID_PATTERN, one) for one in made)
    codes = {new_code() for _ in range(100)}
    assert len(codes) == 100 and all(re.fullmatch(CODE_PATTERN, code) for code in codes)


def test_a_sentence_is_no_code_not_even_without_its_spaces() -> None:
    for code in ("500", "insufficient_funds", "InputImageSensitiveContentDetected.PrivacyInformation"):
        assert told(code, Code) == code
    for said in ("Anna Petrova", "+7 916 123-45-67", "anna@example.com", "Анна", "500\n", "x" * 65, ""):
        assert told(said, Code) is None
