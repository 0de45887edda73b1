"""Signed statements about the log: checkpoints, restorations, and rotations of the key.

A checkpoint's text is C2SP tlog-checkpoint and nothing more, so that witnesses cosign it:

    <origin>                            the log's name, which is the key's
    <size>                              events, i.e. the last position
    <root, base64>                      of the Merkle tree over the hashes of positions 1 … size

What the log was there stands in its last leaf, the event LogStated. A restoration's text is our own:
`<origin> restored`, then `lost`, `kept` and `head` (each with a position and a hash), `actor`, `reason`,
`time`. What is lost is the highest place that was seen and is gone; what is kept, the highest seen that the
log still holds; the head is the log's when it was signed. A rotation's is `<origin> rotated` and both keys.

Each text has one form: what is read and written again is the same, byte by byte.
"""

import base64
import binascii
import datetime
import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec

from events.envelope import GENESIS_HASH, Cursor
from events.system import KeyRotated, generation
from ledger.checkpoints.signed_note import (
    MalformedKeyError,
    MalformedNoteError,
    PrivateKey,
    PublicKey,
    SignatureError,
    open_note,
    parse_public,
    signatures_of,
    unverified_text,
)

WORDS_MAX = 500
POSITION_MAX = 2**63 - 1
AHEAD_US_MAX = 60_000_000
"""So far apart clocks of two machines may be."""
_ORIGIN = re.compile(r"[^\s+]{1,200}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Checkpoint(msgspec.Struct, frozen=True):
    """Size and Merkle root of the log."""

    kind: ClassVar[str] = "checkpoint"
    origin: str
    size: int
    root: bytes

    @property
    def position(self) -> int:
        return self.size

    @property
    def seen(self) -> str:
        """What `Restored.explains` judges by: the name it was signed under."""
        return self.origin

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


class Restored(msgspec.Struct, frozen=True):
    """Signed restoration: positions after `kept` up to `lost` are knowingly gone.

    It is the last that is signed as `origin`: the log begins anew under the next name.
    """

    kind: ClassVar[str] = "restored"
    origin: str
    lost: Cursor
    kept: Cursor
    head: Cursor
    actor: str
    reason: str
    time_us: int

    @property
    def position(self) -> int:
        return self.head.position

    @property
    def seen(self) -> int:
        return self.time_us

    def text(self) -> str:
        lines = [f"{self.origin} restored"]
        for name in ("lost", "kept", "head"):
            place: Cursor = getattr(self, name)
            lines.append(f"{name} {place.position} {place.hash.hex()}")
        lines += [f"actor {one_line(self.actor)}", f"reason {one_line(self.reason)}"]
        lines.append(f"time {time_text(self.time_us)}")
        return "\n".join(lines) + "\n"

    def explains(self, place: Cursor, seen: int | str) -> bool:
        """Whether it explains that the log lacks a place: `seen` then, or signed under that origin."""
        known = GENESIS_HASH not in (self.lost.hash, place.hash)  # zeros: only the position is remembered
        if known and place.position == self.lost.position and place.hash != self.lost.hash:
            return False
        if isinstance(seen, str):
            before = generation(seen) <= generation(self.origin)
        else:
            before = seen <= self.time_us
        return before and self.kept.position < place.position <= self.lost.position


Statement = Checkpoint | Restored


def parse(note: str) -> Statement:
    """Statement of a note, its signatures unchecked. Raises MalformedNoteError."""
    return parse_text(unverified_text(note))


def parse_text(text: str) -> Statement:
    lines = text.removesuffix("\n").split("\n")
    try:
        found = _restored(lines) if lines[0].endswith(" restored") else _checkpoint(*lines)
        if found.text() == text and _ORIGIN.fullmatch(found.origin) and found.origin.isprintable():
            return found
    except (ValueError, TypeError, KeyError, OverflowError, binascii.Error):
        pass
    raise MalformedNoteError("the note is signed, but it is no checkpoint and no restoration")


def open_statement(note: str, *keys: PublicKey, restored: bool = False) -> Statement:
    """What a note of one of the keys' logs says; with `restored` under the logs' later names too.

    Raises MalformedNoteError, or SignatureError.
    """
    found = parse(note)
    name = generation(found.origin)[0]
    named = [key.named(found.origin) if restored and generation(key.name)[0] == name else key for key in keys]
    ours = [key for key in named if key.name == found.origin]
    if not ours:
        who = ", ".join(sorted({key.name for key in keys}))
        raise SignatureError(f"the note is of {found.origin}: not signed by a key of {who}")
    open_note(note, *ours)
    return found


def require_past(found: Statement, now_us: int) -> None:
    """Raise SignatureError for a restoration dated later than now: it would explain too much."""
    if isinstance(found, Restored) and found.time_us > now_us + AHEAD_US_MAX:
        raise SignatureError(f"the restoration is dated {time_text(found.time_us)}, which is later than now")


def open_checkpoint(note: str, *keys: PublicKey) -> Checkpoint:
    return require_checkpoint(open_statement(note, *keys))


def require_checkpoint(found: Statement) -> Checkpoint:
    if not isinstance(found, Checkpoint):
        raise MalformedNoteError("the note is no checkpoint but a statement that the log was restored")
    return found


def sign(statement: Statement, keys: Sequence[PrivateKey]) -> str:
    """The statement's note, signed by each key under its origin."""
    notes = [key.named(statement.origin).sign(statement.text()) for key in keys]
    return notes[0] + "".join(map(signatures_of, notes[1:]))


def current_origin(name: str, known: Iterable[Statement]) -> str:
    """The log's name now; the next one after each restoration."""
    reached = (generation(one.origin)[1] + isinstance(one, Restored) for one in known)
    number = max(reached, default=1)
    return name if number == 1 else f"{name}/{number}"


def rotate(old: PrivateKey, new: PrivateKey, actor: str, reason: str) -> KeyRotated:
    """Event by which a key hands over, signed by both."""
    text = _rotated(str(old.public), str(new.public))
    signatures = "".join(signatures_of(key.sign(text)) for key in (old, new))
    return KeyRotated(str(old.public), str(new.public), signatures, actor, reason)


def keys_of(event: KeyRotated) -> tuple[PublicKey, PublicKey]:
    """Both keys of a rotation that both have signed. Raises SignatureError."""
    try:
        keys = parse_public(event.old), parse_public(event.new)
        for key in keys:
            open_note(f"{_rotated(event.old, event.new)}\n{event.signatures}", key)
    except (MalformedKeyError, MalformedNoteError):
        raise SignatureError(f"the change of key to {event.new} is not signed") from None
    return keys


def _rotated(old: str, new: str) -> str:
    return f"{old.partition('+')[0]} rotated\n{old}\n{new}\n"


def time_text(time_us: int) -> str:
    """Epoch microseconds as RFC 3339 in UTC, always with six digits."""
    try:
        at = _EPOCH + datetime.timedelta(microseconds=time_us)
    except OverflowError:  # no clock of ours has said it
        return f"{time_us} us"
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond:06d}Z"


def time_of(text: str) -> int:
    """Epoch microseconds of RFC 3339. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    at = datetime.datetime.fromisoformat(text)
    return (at - _EPOCH) // datetime.timedelta(microseconds=1)


def one_line(words: str) -> str:
    line = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    return line[:WORDS_MAX].rstrip() or "-"


def _checkpoint(origin: str, size: str, root: str) -> Checkpoint:
    digest = base64.b64decode(root, validate=True)
    if len(digest) != 32:
        raise ValueError(root)
    return Checkpoint(origin, _position(size), digest)


def _restored(lines: list[str]) -> Restored:
    words = dict(line.split(" ", 1) for line in lines[1:])
    lost, kept, head = [_place(words[name]) for name in ("lost", "kept", "head")]
    origin = lines[0].removesuffix(" restored")
    return Restored(origin, lost, kept, head, words["actor"], words["reason"], time_of(words["time"]))


def _place(text: str) -> Cursor:
    position, _, hash_ = text.partition(" ")
    found = Cursor(_position(position), bytes.fromhex(hash_))
    if len(found.hash) != 32:
        raise ValueError(hash_)
    return found


def _position(text: str) -> int:
    if len(text) > 19 or not 0 <= int(text) <= POSITION_MAX:
        raise ValueError(text)
    return int(text)
