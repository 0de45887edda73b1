"""The database's hash of an event and ours are one, whatever stands in it."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import asyncpg
from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import Recorded
from ledger.log.hash_chain import event_hash
from tests.integration.ledger.conftest import order, rich

VECTORS: Final = Path(__file__).parents[2] / "golden" / "hash_vectors.jsonl"
SQL: Final = """SELECT sha256($1::bytea || audit.event_bytes(
    $2::bigint, $3::text, $4::bigint, $5::text, $6::text, $7::bigint,
    $8::text, $9::bytea, $10::bigint, $11::text))"""

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
NUMBER = st.integers(-(2**63), 2**63 - 1)
BYTES = st.binary(max_size=40)
DATA = TEXT | st.sampled_from(["\\u0000", "\\ud83d", "\\ud83d\\ude00", "😀", "\x01", "\u2028", "é"]).map(
    lambda text: f'{{"a":"{text}"}}'
)
ROWS = st.builds(
    Recorded,
    position=NUMBER, stream=TEXT, version=NUMBER, type=TEXT, data=DATA, key=st.none() | TEXT,
    body_hash=st.none() | BYTES, command_events=st.none() | NUMBER, writer=st.none() | TEXT,
    recorded_at_us=NUMBER, hash=st.just(b""),
)  # fmt: skip


async def in_sql(connection: Any, previous: bytes, row: Recorded) -> bytes:
    return bytes(await connection.fetchval(
        SQL, previous, row.position, row.stream, row.version, row.type, row.data, row.recorded_at_us, row.key,
        row.body_hash, row.command_events, row.writer,
    ))  # fmt: skip


def test_both_give_every_row_the_same_hash(database_url: str):
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database_url))

        @settings(max_examples=400, deadline=None)
        @given(previous=st.binary(min_size=32, max_size=32), row=ROWS)
        def same(previous: bytes, row: Recorded) -> None:
            assert runner.run(in_sql(connection, previous, row)) == event_hash(previous, row)

        try:
            same()
        finally:
            runner.run(connection.close())


def vectors() -> list[tuple[bytes, Recorded, bytes]]:
    """Previous hash, row, hash."""
    found = []
    for line in VECTORS.read_text(encoding="utf-8").rstrip().split("\n"):
        cells = json.loads(line)
        body = None if cells["body_hash"] is None else bytes.fromhex(cells["body_hash"])
        previous, hash_ = bytes.fromhex(cells.pop("previous")), bytes.fromhex(cells["hash"])
        found.append((previous, Recorded(**cells | {"body_hash": body, "hash": hash_}), hash_))
    return found


def test_the_vectors_are_what_python_says():
    assert len(vectors()) > 10
    assert [event_hash(previous, row) for previous, row, _ in vectors()] == [hash_ for *_, hash_ in vectors()]


async def test_the_vectors_are_what_the_database_says(owner):
    for previous, row, hash_ in vectors():
        assert await in_sql(owner, previous, row) == hash_, row


async def test_what_was_appended_has_the_hash_that_python_gives_it(ledger, owner):
    await rich(ledger, "😀 é")
    await ledger.execute(order("😀 é", "o"), key="key 😀")
    previous = bytes(32)
    async for event in ledger.read.scan():
        assert event_hash(previous, event) == event.hash
        previous = event.hash
    assert await owner.fetch("SELECT * FROM audit.chain_breaks") == []
