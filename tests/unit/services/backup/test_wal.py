"""Names of WAL files: which follow one another, which nobody needs any more."""

from services.backup import wal

MIB_16 = 16 << 20
NAMES = [
    "000000010000000000000003", "000000010000000000000003.00000028.backup", "000000010000000000000004",
    "000000010000000000000005.partial", "000000020000000000000005", "00000002.history",
]  # fmt: skip


def test_numbers_go_on_over_the_end_of_a_log_file_and_through_timelines() -> None:
    assert wal.number_of("0000000100000000000000FF", MIB_16) == 255
    assert wal.number_of("000000020000000100000000", MIB_16) == 256
    assert wal.segment_of("1/2A", MIB_16) == 256
    assert wal.number_of("00000002.history", MIB_16) is None


def test_a_missing_file_is_found_and_a_timeline_that_goes_on_is_no_gap() -> None:
    assert wal.missing(NAMES, 3, MIB_16) == []
    assert wal.missing([*NAMES, "000000020000000000000008"], 3, MIB_16) == [6, 7]
    assert wal.missing(NAMES, 1, MIB_16) == [1, 2]
    assert wal.missing([], 1, MIB_16) == []


def test_what_comes_before_the_oldest_backup_goes_and_histories_stay() -> None:
    assert wal.unneeded(NAMES, 4, MIB_16) == NAMES[:2]
    assert wal.unneeded(NAMES, 6, MIB_16) == NAMES[:-1]
    assert wal.unneeded(NAMES, 3, MIB_16) == []
