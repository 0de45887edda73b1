"""The hash covers every column, and no two rows give the same bytes."""

import itertools

import msgspec

from events.envelope import GENESIS_HASH, Recorded
from ledger.log.hash_chain import event_hash, follows
from tests.support.each import each
from tests.support.history import sealed

ROW = Recorded(7, "account-a", 3, "CreditsCharged", '{"job":"j"}', "order:o", b"b" * 32, 2, "bot", 99, b"")
SEALED = sealed(GENESIS_HASH, ROW)
BARE = Recorded(1, "s", 1, "T", "{}", None, None, None, None, 0, b"")


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
        {"writer": "web"},
        {"recorded_at_us": 98},
        {"hash": b"x" * 32},
    ],
)
def test_every_column_is_covered(change):
    assert not follows(GENESIS_HASH, msgspec.structs.replace(SEALED, **change))


def test_no_column_is_forgotten_here():
    assert Recorded.__struct_fields__ == (
        *("position", "stream", "version", "type", "data", "key", "body_hash", "command_events"),
        *("writer", "recorded_at_us", "hash"),
    )


def hash_of(**columns: object) -> bytes:
    return event_hash(GENESIS_HASH, msgspec.structs.replace(BARE, **columns))


def test_text_moved_from_one_column_to_the_next_gives_another_hash():
    text = "0123456789"
    splits = [*itertools.combinations(range(11), 4)]
    hashes = {
        hash_of(stream=text[:i], type=text[i:j], data=text[j:k], key=text[k:m], writer=text[m:])
        for i, j, k, m in splits
    }
    assert len(hashes) == len(splits)


def test_no_key_is_not_an_empty_key():
    assert len({hash_of(), hash_of(key=""), hash_of(body_hash=b""), hash_of(writer="")}) == 4
    assert hash_of() != hash_of(key="", body_hash=b"", writer="", command_events=-1)
