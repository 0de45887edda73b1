"""Signed notes: the published example, byte by byte, openssl as a second opinion, and what is refused."""

import base64
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoints import signed_note
from ledger.checkpoints.signed_note import MalformedKeyError, MalformedNoteError, NoteError, SignatureError
from ledger.checkpoints.store import statements_in
from tests.support.each import each
from tests.support.mutation import mutated

# The example in the documentation of Go's golang.org/x/mod/sumdb/note.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6"
    "RyyBwJnAM=\n"
)
# The example of C2SP signed-note.
C2SP_PUBLIC = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_SIGNED = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg"
    "1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


def test_the_published_note_and_keys() -> None:
    key = signed_note.parse_private(PRIVATE)
    assert (key.sign(TEXT), str(key.public), key.reveal()) == (SIGNED, PUBLIC, PRIVATE)
    assert signed_note.open_note(SIGNED, signed_note.parse_public(PUBLIC)) == TEXT
    assert (
        signed_note.open_note(C2SP_SIGNED, signed_note.parse_public(C2SP_PUBLIC))
        == "This is an example message.\n"
    )


def test_openssl_agrees(tmp_path: Path) -> None:
    key = signed_note.new_key("neurocards/test")
    signed = key.sign("one\ntwo\n")
    raw = base64.b64decode(signed.split(" ")[-1])
    der = bytes.fromhex("302a300506032b6570032100") + key.public.key
    (tmp_path / "key").write_bytes(der)
    (tmp_path / "text").write_text("one\ntwo\n")
    (tmp_path / "signature").write_bytes(raw[4:])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin"]
    done = subprocess.run(
        [*command, "-in", "text", "-sigfile", "signature"], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


@each("at", range(len(SIGNED)))
def test_no_character_can_be_changed(at: int) -> None:
    changed = SIGNED[:at] + chr(ord(SIGNED[at]) ^ 1) + SIGNED[at + 1 :]
    with pytest.raises((MalformedNoteError, SignatureError)):
        signed_note.open_note(changed, signed_note.parse_public(PUBLIC))


def test_no_byte_of_a_public_key_can_be_changed_or_left_out() -> None:
    for at in range(len(PUBLIC)):
        for changed in (
            PUBLIC[:at] + PUBLIC[at + 1 :],
            PUBLIC[:at] + chr(ord(PUBLIC[at]) ^ 1) + PUBLIC[at + 1 :],
        ):
            with pytest.raises(MalformedKeyError):
                signed_note.parse_public(changed)


def test_signatures_of_others_do_not_count_and_do_not_harm() -> None:
    ours, other = signed_note.parse_private(PRIVATE), signed_note.new_key("witness")
    both = SIGNED + other.sign(TEXT).rpartition("\n\n")[2]
    assert signed_note.open_note(both, ours.public) == signed_note.open_note(both, other.public) == TEXT
    assert signed_note.open_note(both, other.public, ours.public) == TEXT
    with pytest.raises(SignatureError, match="stranger"):
        signed_note.open_note(both, signed_note.new_key("stranger").public)


def test_a_wrong_signature_of_a_known_key_is_fatal_even_beside_a_right_one() -> None:
    ours, other = signed_note.parse_private(PRIVATE), signed_note.new_key("witness")
    wrong = ours.sign("something else\n").rpartition("\n\n")[2]
    with pytest.raises(SignatureError, match="does not fit"):
        signed_note.open_note(other.sign(TEXT) + wrong, ours.public, other.public)


def test_a_signature_has_one_form_and_stands_there_once() -> None:
    ours = signed_note.parse_public(PUBLIC)
    line = SIGNED.rpartition("\n\n")[2]
    for forged in (
        SIGNED + line,
        SIGNED.replace("nAM=", "nAN="),
        SIGNED.replace("nAM=", "nAM"),
        SIGNED.replace("nAM=", "nAM=="),
        SIGNED.replace("x08go", " x08go"),
        SIGNED.replace("nAM=", "nAM= "),
        SIGNED.replace("— Peter", "—  Peter"),
        SIGNED + "— witness AAAAAAAA\n" * 2,
    ):
        with pytest.raises(MalformedNoteError):
            signed_note.open_note(forged, ours)
    assert signed_note.open_note(SIGNED + "— witness AAAAAAAA\n", ours)
    for forged in (PUBLIC.replace("c74f20a3", "C74F20A3"), PUBLIC.replace("c74f", "c7 4f"), PUBLIC + "="):
        with pytest.raises(MalformedKeyError):
            signed_note.parse_public(forged)


@each(
    "text", ["", "no end", "\n", "a\tb\n", "a\rb\n", "nul\x00\n"],
)  # fmt: skip
def test_what_cannot_be_signed(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        signed_note.new_key("n").sign(text)


@each(
    "text",
    ["", "text\n", "text\n\n", SIGNED[:-1], SIGNED.replace("— ", "-- "), "x" * signed_note.NOTE_BYTES_MAX],
)
def test_what_is_no_note(text: str) -> None:
    with pytest.raises(MalformedNoteError):
        signed_note.open_note(text, signed_note.parse_public(PUBLIC))


@each("name", ["", "two words", "plus+plus", "line\nline", "no\u00a0break"])
def test_names_a_key_cannot_have(name: str) -> None:
    with pytest.raises(MalformedKeyError):
        signed_note.new_key(name)


def test_no_message_and_no_representation_shows_a_private_key() -> None:
    secret = PRIVATE.split("+", 4)[4]
    assert secret not in repr(signed_note.parse_private(PRIVATE))
    for damaged in (PRIVATE[:-1], PRIVATE.replace("c74f20a3", "c74f20a4"), secret):
        with pytest.raises(MalformedKeyError) as caught:
            signed_note.parse_private(damaged)
        assert secret[:-2] not in str(caught.value)


# Cosigned over HTTP by a witness that strangers wrote (aics-witness 0.1.0).
COSIGNED = (
    "neurocards.example/ledger\n748\ndoT+KRuySTKr3or3ICsYoOeGP5hQHbiRVfPS9TQmiyY=\n\n— neurocards.e"
    "xample/ledger XluQTjoxTHQUBxAQqwCRsYwlBEdOmm2edsc4Q+CaKSvwB+ZeJvx40hZPCGQ1kb4ZXKDs+KnwBO5d"
    "uDQHNnh5vdbtUgE=\n— witness.example/w1 9Z1oCgAAAABrDd+JSoRhelfAhfWBVxYxtEk8Nq/9SDPxVoPG2C4m"
    "twJA/IKBJfrTU7dzLB0MuOPQeDAysq6YzAv/B+pzJfRLMFqCDQ==\n"
)
COSIGNED_BY = "neurocards.example/ledger+5e5b904e+AYwZ4EpC9CpDk6beepjR5GSZxDSAWPLVnOW2fLDVRTXe"
WITNESS = "witness.example/w1+f59d680a+BFAORnEmjswIsJMknPmnVTual2ccE/9EKx48gLIE8bdl"


@given(st.data())
def test_a_cosigned_note_changed_anywhere_says_the_same_or_nothing(data: st.DataObject) -> None:
    forged = mutated(data, COSIGNED.encode()).decode("utf-8", "replace")
    by, witness = signed_note.parse_public(COSIGNED_BY), signed_note.parse_witness(WITNESS)
    try:
        said = signed_note.open_note(forged, by), signed_note.cosigned(forged, witness)
    except NoteError:
        return
    text = COSIGNED.rpartition("\n\n")[0] + "\n"
    assert said in ((text, 1796071305), (text, None))


def test_a_witness_signs_the_time_with_the_text() -> None:
    witness = signed_note.parse_witness(WITNESS)
    assert str(witness) == WITNESS
    assert signed_note.cosigned(COSIGNED, witness) == 1796071305
    ours = COSIGNED.rpartition("— ")[0]
    assert signed_note.cosigned(ours, witness) is None
    assert ours + signed_note.cosignature(COSIGNED, witness) == COSIGNED
    by = signed_note.parse_public(COSIGNED_BY)
    assert signed_note.signed_by(COSIGNED, [by]) == ours  # as a statement names it, wherever it comes from
    assert [note for _, note in statements_in([COSIGNED, ours], [by])] == [ours, ours]
    with pytest.raises(SignatureError):
        signed_note.cosignature(ours, witness)
    for forged in (COSIGNED.replace("\n748\n", "\n749\n"), COSIGNED.replace("AAAABrDd", "AAAABrDe")):
        assert forged != COSIGNED
        with pytest.raises(SignatureError):
            signed_note.cosigned(forged, witness)
    with pytest.raises(MalformedKeyError):
        signed_note.parse_witness(PUBLIC)
    with pytest.raises(MalformedKeyError):
        signed_note.parse_public(WITNESS)
