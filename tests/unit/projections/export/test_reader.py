"""Cells of an exported table: each has one form, and none is a formula."""

from pathlib import Path

import pytest

from events.envelope import Recorded
from projections.export.manifest import COLUMNS
from projections.export.reader import Unreadable, plain_text, rows
from tests.support.each import each


@each(
    ("cell", "text"),
    [("'=1+1", "=1+1"), ("'@x", "@x"), ("''=x", "'=x"), ("a=b", "a=b"), ("'a", None), ("=1+1", None),
     ("-1", None), ("+7", None), ("\tx", None), ("'", None)],
)  # fmt: skip
def test_no_cell_of_a_table_is_a_formula(cell: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(ValueError, match="spreadsheet"):
            plain_text(cell)
    else:
        assert plain_text(cell) == text


@each("cell", [" 5 ", "+5", "0005", "٥", "5_0", "", "5.0", "1e3", "-0", "9" * 20])
def test_a_number_in_a_table_has_one_form(tmp_path: Path, cell: str) -> None:
    file = tmp_path / "log.csv"
    row = ["1", "account-a", "1", "X", "{}", "", "", "", "", "5", "ab"]
    for column in (0, 2, 9):
        forged = [*row[:column], cell, *row[column + 1 :]]
        file.write_text(",".join(COLUMNS) + "\n" + ",".join(forged) + "\n", encoding="utf-8")
        [only] = rows(file, "csv")
        assert isinstance(only, Unreadable), cell
    file.write_text(",".join(COLUMNS) + "\n" + ",".join(row) + "\n", encoding="utf-8")
    [only] = rows(file, "csv")
    assert isinstance(only, Recorded)
