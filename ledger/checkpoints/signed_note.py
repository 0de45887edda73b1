"""Signed notes and their keys, as transparency logs use them (C2SP signed-note).

    <text, one or more lines>
    <empty line>
    — <name> <base64 of 4 bytes key id + Ed25519 signature over the text>

The public key is written `<name>+<key id in hex>+<base64>`, the private one `PRIVATE+KEY+<name>+…`, as the
tools of Go's checksum database and of Sigstore read them.

NoteError (an IntegrityError)
├── MalformedNoteError  the text is not a signed note
├── SignatureError      no signature of a key that was asked for, or a wrong one
└── NoteMismatchError   a stored note is not what its row says
MalformedKeyError                    the text is not a key
"""

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import sha256
from typing import ClassVar, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ledger.errors import IntegrityError, LedgerError

NOTE_BYTES_MAX = 100_000
SIGNATURES_MAX = 100
TIME_S_MAX = 2**37
"""Of a witness: some thousand years on."""
_ED25519 = b"\x01"
_COSIGNATURE = b"\x04"
_PRIVATE = "PRIVATE+KEY+"
_DASH = "— "
_NAME = re.compile(r"[^\s+]{1,200}")
_ID = re.compile(r"[0-9a-f]{8}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class NoteError(IntegrityError):
    """Base of what can be wrong with a note."""


class MalformedNoteError(NoteError):
    """The text is not a signed note."""


class SignatureError(NoteError):
    """No signature by the given keys, or a wrong one."""


class NoteMismatchError(NoteError):
    """The columns of a stored note are not what its text says."""


class MalformedKeyError(LedgerError):
    """The text is not a key as `neurocards ledger keygen` writes it."""


class PublicKey(msgspec.Struct, frozen=True):
    kind: ClassVar[bytes] = _ED25519
    name: str
    key: bytes

    @property
    def id(self) -> bytes:
        """Key id: four bytes that tell keys of one name apart."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.key).digest()[:4]

    def named(self, name: str) -> "PublicKey":
        """The same key under another name."""
        return PublicKey(name, self.key)

    def pem(self) -> str:
        """PEM, as openssl reads it."""
        raw = Ed25519PublicKey.from_public_bytes(self.key)
        return raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_text(self.kind + self.key)}"


class WitnessKey(PublicKey, frozen=True):
    """Key of a witness (C2SP tlog-cosignature, cosignature/v1): it signs a time with the text."""

    kind: ClassVar[bytes] = _COSIGNATURE


class PrivateKey(msgspec.Struct, frozen=True):
    """A signer key. Its text is a secret."""

    kind: ClassVar[bytes] = _ED25519
    name: str
    seed: bytes

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.name, self._key().public_key().public_bytes_raw())

    @property
    def id(self) -> bytes:
        return self.public.id

    def sign(self, text: str) -> str:
        """Signed note over `text`: printable lines, the last one ended."""
        if not text.endswith("\n") or text == "\n" or _CONTROL.search(text):
            raise MalformedNoteError(
                "a note's text is one or more lines, each ended, without control characters"
            )
        signature = self.public.id + self._key().sign(text.encode())
        return f"{text}\n{_DASH}{self.name} {_text(signature)}\n"

    def named(self, name: str) -> "PrivateKey":
        return PrivateKey(name, self.seed)

    def reveal(self) -> str:
        return f"{_PRIVATE}{self.name}+{self.public.id.hex()}+{_text(_ED25519 + self.seed)}"

    def __repr__(self) -> str:
        return f"PrivateKey({self.name!r})"

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


Key = TypeVar("Key", PublicKey, WitnessKey, PrivateKey)


def new_key(name: str) -> PrivateKey:
    """A fresh private key. Raises MalformedKeyError for a name with spaces or a plus."""
    _require_name(name)
    return PrivateKey(name, Ed25519PrivateKey.generate().private_bytes_raw())


def parse_public(text: str) -> PublicKey:
    """Raises MalformedKeyError."""
    return _parse(PublicKey, text, "a public key is <name>+<8 hex digits>+<base64>")


def parse_witness(text: str) -> WitnessKey:
    """Raises MalformedKeyError."""
    return _parse(WitnessKey, text, "a witness's key is <name>+<8 hex digits>+<base64>")


def parse_private(text: str) -> PrivateKey:
    """Raises MalformedKeyError, never with the key in its message."""
    if not text.strip().startswith(_PRIVATE):
        raise MalformedKeyError(f"a private key begins with {_PRIVATE}")
    rest = text.strip().removeprefix(_PRIVATE)
    return _parse(PrivateKey, rest, "the private key is damaged")


def open_note(note: str, *keys: PublicKey) -> str:
    """The note's text, if `keys` signed it; others' signatures are ignored.

    Raises MalformedNoteError, or SignatureError also when one of `keys` has signed wrongly.
    """
    text, signatures = _split(note)
    signed = False
    for name, signature in signatures:
        for key in keys:
            if (name, signature[:4]) == (key.name, key.id):
                _verify(key, text, signature[4:])
                signed = True
    if not signed:
        who = " or ".join(f"{key.name}+{key.id.hex()}" for key in keys)
        raise SignatureError(f"the note is not signed by {who}")
    return text


def cosigned(note: str, witness: WitnessKey) -> int | None:
    """Epoch seconds at which a witness signed the note; None if not. Raises NoteError."""
    text, signatures = _split(note)
    for name, signature in signatures:
        if (name, signature[:4]) == (witness.name, witness.id):
            time_s = int.from_bytes(signature[4:12], "big")
            _verify(witness, f"cosignature/v1\ntime {time_s}\n{text}", signature[12:])
            if time_s > TIME_S_MAX:
                raise SignatureError(f"the time at which {witness.name} signed cannot be")
            return time_s
    return None


def cosignature(note: str, witness: WitnessKey) -> str:
    """The witness's line in a note. Raises SignatureError when there is none, or a wrong one."""
    if cosigned(note, witness) is None:
        raise SignatureError(f"the note is not cosigned by {witness.name}+{witness.id.hex()}")
    return signatures_of(signed_by(note, [witness]))


def signed_by(note: str, keys: Sequence[PublicKey]) -> str:
    """The note with the lines of these keys alone, unchecked."""
    text, signatures = _split(note)
    ids = {(key.name, key.id) for key in keys}
    lines = [f"{_DASH}{who} {_text(raw)}\n" for who, raw in signatures if (who, raw[:4]) in ids]
    return f"{text}\n{''.join(lines)}"


def signatures_of(note: str) -> str:
    """The note's signature lines, unchecked."""
    return note.rpartition("\n\n")[2]


def unverified_text(note: str) -> str:
    """The note's text, signature unchecked. Raises MalformedNoteError."""
    return _split(note)[0]


def _verify(key: PublicKey, text: str, signature: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(key.key).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        raise SignatureError(f"the signature of {key.name}+{key.id.hex()} does not fit the text") from None


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    if len(note.encode(errors="replace")) > NOTE_BYTES_MAX or _CONTROL.search(note):
        raise MalformedNoteError("this is no signed note: it is too long or holds control characters")
    text, gap, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not gap or not text or not tail.endswith("\n") or len(lines) > SIGNATURES_MAX + 1:
        raise MalformedNoteError("this is no signed note: no empty line and signatures at its end")
    signatures = [_signature(line) for line in lines[:-1]]
    if len({(name, signature[:4]) for name, signature in signatures}) < len(signatures):
        raise MalformedNoteError("this is no signed note: one key has signed it twice")
    return text + "\n", signatures


def _signature(line: str) -> tuple[str, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    decoded = _bytes(encoded)
    if not line.startswith(_DASH) or not _NAME.fullmatch(name) or decoded is None or len(decoded) < 5:
        raise MalformedNoteError("this is no signed note: a signature line cannot be read")
    return name, decoded


def _parse(made: type[Key], text: str, expected: str) -> Key:
    parts = text.strip().split("+", 2)
    decoded = _bytes(parts[2]) if len(parts) == 3 else None
    if decoded is None or len(decoded) != 33 or decoded[:1] != made.kind or not _ID.fullmatch(parts[1]):
        raise MalformedKeyError(expected)
    _require_name(parts[0])
    key = made(parts[0], decoded[1:])
    if key.id.hex() != parts[1]:
        raise MalformedKeyError(f"the key of {key.name} is damaged: its id does not fit")
    return key


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise MalformedKeyError("a key's name has 1 to 200 characters, no spaces and no plus")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes | None:
    """Of the one way to write them: base64 has several for the last character."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if _text(decoded) == text else None
