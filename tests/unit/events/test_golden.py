"""Every shape of every event ever written still decodes. From the first tag on lines are only added.

An event's fields may only grow, with defaults. Whoever adds one adds a line with the new shape.
"""

from pathlib import Path
from typing import Any

import msgspec

from events.codec import EVENT_TYPES, decode_data, encode
from tests.support.each import each


class Line(msgspec.Struct, frozen=True):
    """`shape` says since when it is written so, `data` is the exact text in the log."""

    shape: str
    type: str
    data: str


TEXT = (Path(__file__).parent / "golden.jsonl").read_text()
LINES = [msgspec.json.decode(line, type=Line) for line in TEXT.splitlines()]
NEWEST = {line.type: line for line in LINES}


def kept(written: Any, read: Any) -> Any:
    """What is left of `read` without the fields, at any depth, that `written` does not have."""
    if isinstance(written, dict) and isinstance(read, dict):
        return {field: kept(value, read.get(field)) for field, value in written.items()}
    if isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        return [kept(*pair) for pair in zip(written, read, strict=True)]
    return read


@each("line", LINES)
def test_every_shape_ever_written_decodes_with_nothing_lost(line: Line):
    event = decode_data(line.type, line.data)
    written = msgspec.json.decode(line.data)
    assert kept(written, msgspec.json.decode(encode(event))) == written


@each("name", EVENT_TYPES)
def test_the_newest_line_is_what_is_written_today(name: str):
    assert name in NEWEST, f"add a line for {name} to golden.jsonl"
    line = NEWEST[name]
    assert encode(decode_data(name, line.data)) == line.data, f"the shape of {name} changed: add a line"


def test_the_first_shapes_are_still_there_and_each_event_has_one():
    assert {line.type for line in LINES} == EVENT_TYPES.keys()
    assert sum(line.shape == "0.1.0" for line in LINES) >= 38
