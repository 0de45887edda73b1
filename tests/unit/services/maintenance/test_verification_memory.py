"""What a process remembers of verifying: the newest of memory and file, and never a time to come."""

import time
from pathlib import Path

from services.maintenance.verification_memory import FILE, VerificationMemory, Verified


def test_another_process_s_newer_file_is_believed_an_older_one_is_not(tmp_path: Path) -> None:
    now_s = time.time()
    one, other = VerificationMemory(tmp_path / "notes"), VerificationMemory(tmp_path / "notes")
    one.keep(Verified(now_s - 50, now_s - 500, 1.5, 7, "ab" * 32, {"edited": 1}, 3, 2))
    assert other.recall() == one.newest
    other.keep(Verified(now_s - 90))
    assert one.recall().position == 7
    assert other.recall().position == 0


def test_a_time_to_come_and_a_file_that_cannot_be_read_count_as_never(tmp_path: Path) -> None:
    memory = VerificationMemory(tmp_path)
    memory.keep(Verified(time.time() - 5, position=7))
    wrong = (f'{{"new_at_s": {time.time()}, {one}}}' for one in ('"hash": "zz"', f'"position": {2**63}'))
    for text in (
        "{",
        "[]",
        *wrong,
        '{"new_at_s": "x"}',
        f'{{"new_at_s": {time.time() + 9e8}, "position": 9}}',
    ):
        (tmp_path / FILE).write_text(text)
        assert memory.recall().position == 7
    ahead = Verified(time.time() + 9e8, time.time() + 9e8)
    assert ahead.age_s(whole=False) > 1e9 and ahead.age_s(whole=True) > 1e9


def test_a_folder_that_cannot_be_written_is_no_reason_to_forget(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = VerificationMemory(tmp_path / "file")
    memory.keep(Verified(time.time(), position=7))
    assert memory.recall().position == 7 and memory.notes_kept() == 0
