"""The one back-off: doubling to its bound, half of it left to chance."""

import pytest

from services.platform.backoff import backoff_s, doubling_s


def test_it_doubles_to_its_bound() -> None:
    assert [doubling_s(n, 0.1, 1) for n in range(1, 6)] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1])
    assert doubling_s(0, 0.1, 1) == 0.1
    assert doubling_s(10_000, 0.1, 1) == 1


def test_half_of_it_is_left_to_chance() -> None:
    assert {0.5 <= backoff_s(1) <= 1 for _ in range(50)} == {True}
    assert len({backoff_s(3, 1, 10) for _ in range(50)}) > 1
    assert 150 <= backoff_s(50) <= 300
