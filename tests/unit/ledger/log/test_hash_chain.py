"""The hash covers every column, and no two rows give the same bytes."""

import itertools

import msgspec

from events.envelope import GENESIS_HASH, Recorded
from ledger.log.hash_chain import event_hash, follows
from tests.support.each import each

ROW = Recorded(7, "account-a", 3, "CreditsCharged", '{"job":"j"}', "order:o", b"b" * 32, 2, 99, b"")
SEALED = msgspec.structs.replace(ROW, hash=event_hash(GENESIS_HASH, *msgspec.structs.astuple(ROW)[:-1]))


def test_the_right_hash_follows():
    assert follows(GENESIS_HASH, SEALED)
    assert not follows(b"x" * 32, SEALED)


@each(
    "change",
    [
        {"position": 8},
        {"stream": "account-b"},
        {"version": 4},
        {"type": "CreditsRefunded"},
        {"data": '{"job":"k"}'},
        {"data": '{"job": "j"}'},
        {"key": "order:p"},
        {"body_hash": b"c" * 32},
        {"command_events": 1},
        {"recorded_at_us": 98},
        {"hash": b"x" * 32},
    ],
)
def test_every_column_is_covered(change):
    assert not follows(GENESIS_HASH, msgspec.structs.replace(SEALED, **change))


def test_text_moved_from_one_column_to_the_next_gives_another_hash():
    splits = itertools.pairwise(range(10))
    hashes = {
        event_hash(
            GENESIS_HASH, 1, "0123456789"[:i], 1, "0123456789"[i:j], "0123456789"[j:], None, None, None, 0
        )
        for i, j in splits
    }
    assert len(hashes) == 9


def test_no_key_is_not_an_empty_key():
    without = event_hash(GENESIS_HASH, 1, "s", 1, "T", "{}", None, None, None, 0)
    assert without != event_hash(GENESIS_HASH, 1, "s", 1, "T", "{}", "", b"", -1, 0)
