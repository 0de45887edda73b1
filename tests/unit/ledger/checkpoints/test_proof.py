"""Proofs: what they prove, and that no field of any event in them can be changed."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.account import AccountOpened, TermsAccepted
from events.envelope import GENESIS_HASH
from ledger.checkpoints.checkpoint import Checkpoint
from ledger.checkpoints.merkle import fold, leaf_hash, nodes_of, path_ranges, root_of, whole_root
from ledger.checkpoints.proof import Proof, ProofError, decode, encode, proven, verify
from ledger.checkpoints.signed_note import NoteError, SignatureError, new_key
from tests.support.each import each
from tests.support.history import History
from tests.support.mutation import mutated

KEY = new_key("neurocards/test")
SIZE = 21


def made() -> Proof:
    """A proof of positions 1, 8 and the last."""
    history = History()
    history.record(("account-a", AccountOpened()), ("account-a", TermsAccepted("заказ 🎬")))
    while len(history.events) < SIZE:
        history.record(("account-b", TermsAccepted(str(len(history.events)))))
    events, data = history.events, [event.hash for event in history.events]
    checkpoint = Checkpoint(KEY.name, SIZE, root_of(data))

    def over(start: int, end: int) -> bytes:
        runs = [data[n.index << n.height : (n.index + 1) << n.height] for n in nodes_of(start, end)]
        return fold([whole_root([leaf_hash(hash_) for hash_ in run]) for run in runs])

    entries = [
        proven(
            events[at - 1],
            events[at - 2].hash if at > 1 else GENESIS_HASH,
            [over(*span) for span in path_ranges(at - 1, SIZE)],
        )
        for at in (1, 8, SIZE)
    ]
    return decode(encode(KEY.sign(checkpoint.text()), entries).encode())


PROOF = made()


def with_event(index: int, **changes: Any) -> Proof:
    events = [msgspec.structs.replace(e, **changes) if n == index else e for n, e in enumerate(PROOF.events)]
    return msgspec.structs.replace(PROOF, events=events)


def test_a_proof_gives_the_events_as_they_were() -> None:
    checkpoint, events = verify(PROOF, KEY.public)
    assert (checkpoint.size, [event.position for event in events]) == (SIZE, [1, 8, SIZE])
    assert events[0].key == "key-1"


@each("index", [0, 1, 2])
@each(
    "changes",
    [
        {"position": 2}, {"position": 0}, {"position": -1}, {"position": SIZE + 1}, {"position": 2**70},
        {"stream": "account-c"}, {"version": 9}, {"version": 2**63}, {"type": "Other"}, {"data": "{}"},
        {"key": "other"}, {"key": None}, {"body_hash": "00" * 32}, {"body_hash": None}, {"command_events": 7},
        {"recorded_at_us": 0}, {"hash": "00" * 32}, {"previous": "11" * 32}, {"path": []},
        {"path": ["00" * 32] * 5},
    ]
)  # fmt: skip
def test_no_field_can_be_changed(index: int, changes: dict[str, Any]) -> None:
    proof = with_event(index, **changes)
    if proof == PROOF:
        pytest.skip("this event has that value")
    with pytest.raises(ProofError, match=r"^position -?\d+"):
        verify(proof, KEY.public)


def test_an_event_hashed_anew_is_still_not_what_was_signed() -> None:
    """Whoever changes a field and computes the hash again cannot find a path."""
    forged = History().record(("account-a", AccountOpened("forged")))[0]
    proof = with_event(0, data=forged.data, hash=forged.hash.hex(), recorded_at_us=forged.recorded_at_us)
    with pytest.raises(ProofError):
        verify(proof, KEY.public)
    entry = proven(forged, GENESIS_HASH, [bytes.fromhex(h) for h in PROOF.events[0].path])
    with pytest.raises(ProofError, match="not what was signed"):
        verify(msgspec.structs.replace(PROOF, events=[entry]), KEY.public)


def test_the_checkpoint_must_be_signed_by_the_key() -> None:
    with pytest.raises(SignatureError):
        verify(PROOF, new_key("neurocards/test").public)


FORGED = [
    ('"position": 1,', '"position": +1,'),
    ('"position": 1,', '"position": 01,'),
    ('"position": 1,', '"position": 1.0,'),
    ('"position": 1,', '"position": ١,'),
    ('"position": 1,', '"position":  1,'),
    ('"position": 1,', '"position": "1",'),
    ('"position": 1,', f'"position": {2**63},'),
    ('"position": 1,', f'"position": {2**70},'),
    ('"data":', '"data": "{}",\n   "data":'),
    ('"data":', '"extra": 1,\n   "data":'),
    ('"format":', '"format": "x",\n "format":'),
    ('"format":', '"note": "",\n "format":'),
    ('"events": [', '"events": [],\n "events": ['),
    ('"account-a"', '"account\\u002da"'),
    ('"key":', '"key": null,\n   "key":'),
    ('"path": [', '"path": [\n    "ab",'),
    ("\n}\n", "\n}"),
    ("\n}\n", "\n}\n\n"),
    ("\\n21\\n", "\\n021\\n"),
]


def test_no_forged_file_is_taken_for_a_proof() -> None:
    text = encode(PROOF.checkpoint, PROOF.events)
    for old, new in FORGED:
        assert old in text, old
        with pytest.raises((ProofError, NoteError)):
            verify(decode(text.replace(old, new, 1).encode()), KEY.public)
    for digest in (PROOF.events[0].hash, PROOF.events[0].path[0]):
        for forged in (
            digest.upper(),
            digest[:-2],
            f" {digest}",
            digest[:2] + " " + digest[2:],
            digest + "\\n",
        ):
            with pytest.raises(ProofError):
                decode(text.replace(digest, forged).encode())


@given(st.data())
def test_a_true_proof_changed_anywhere_is_refused(data: st.DataObject) -> None:
    true = encode(PROOF.checkpoint, PROOF.events).encode()
    forged = mutated(data, true)
    if forged != true:
        with pytest.raises((ProofError, NoteError)):
            verify(decode(forged), KEY.public)


@each("text", ["", "{}", "[]", "\x00", '{"format":"x","checkpoint":"","events":[]}'])
def test_what_is_no_proof(text: str) -> None:
    with pytest.raises(ProofError):
        decode(text.encode())


@given(st.binary(max_size=200))
def test_anything_else_is_refused_and_nothing_else_is_raised(text: bytes) -> None:
    with pytest.raises(ProofError):
        decode(text)
