"""Consistency proofs of two notes: no file that was changed proves anything else."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoints.checkpoint import Checkpoint
from ledger.checkpoints.consistency import compare, encode
from ledger.checkpoints.merkle import consistency_ranges, fold, leaf_hash, nodes_of, root_of, whole_root
from ledger.checkpoints.proof import ProofError
from ledger.checkpoints.signed_note import NoteError, new_key
from tests.support.mutation import mutated

KEY = new_key("neurocards/test")
DATA = [sha256(bytes([n])).digest() for n in range(21)]


def over(start: int, end: int) -> bytes:
    runs = [DATA[n.index << n.height : (n.index + 1) << n.height] for n in nodes_of(start, end)]
    return fold([whole_root([leaf_hash(hash_) for hash_ in run]) for run in runs])


def signed(size: int) -> Checkpoint:
    return Checkpoint(KEY.name, size, root_of(DATA[:size]))


OLD, NEW = signed(13), signed(21)
NOTE = KEY.sign(NEW.text())
PROOF = encode(13, [over(*span) for span in consistency_ranges(13, 21)], NOTE).encode()


def test_a_true_proof_is_one_of_its_two_notes_alone() -> None:
    compare(OLD, NEW, PROOF)
    for old, new in ((signed(12), NEW), (OLD, signed(20)), (NEW, OLD), (OLD, Checkpoint("x", 21, NEW.root))):
        with pytest.raises(ProofError):
            compare(old, new, PROOF)


FORGED = [
    (b"old 13\n", b"old 013\n"), (b"old 13\n", b"old +13\n"), (b"old 13\n", b"old 13 \n"),
    (b"old 13\n", "old ١٣\n".encode()), (b"old 13\n", b"OLD 13\n"), (b"old 13\n", b"old 13\nold 13\n"),
    (b"old 13\n", b"old 14\n"), (b"old 13\n", f"old {2**70}\n".encode()), (b"\n\n", b"\n\n\n"),
    (b"\n\n", b"\nAAAA\n\n"), (b"\n\n", b"\n" + b"A" * 43 + b"=\n\n"), (b"\n21\n", b"\n021\n"),
    (b"=\n", b"\n"), (b"old", b"\xffold"),
]  # fmt: skip


def test_no_forged_file_proves_it() -> None:
    for true, forged in FORGED:
        assert true in PROOF, true
        with pytest.raises((ProofError, NoteError)):
            compare(OLD, NEW, PROOF.replace(true, forged, 1))


@given(st.data())
def test_a_true_proof_changed_anywhere_proves_nothing_else(data: st.DataObject) -> None:
    forged = mutated(data, PROOF)
    if forged.partition(b"\n\n")[0] == PROOF.partition(b"\n\n")[0]:
        return  # signatures of the note in it are not looked at: those of the notes beside it were
    with pytest.raises((ProofError, NoteError)):
        compare(OLD, NEW, forged)
