"""Signed statements about the log: checkpoints and restorations.

A checkpoint's text follows C2SP tlog-checkpoint, so that the tools of transparency logs read it:

    <origin>                            the log's name, which is the key's
    <size>                              events, i.e. the last position
    <root, base64>                      of the Merkle tree over the hashes of positions 1 … size
    head <hash>                         the chain's hash at that position, hexadecimal like all that follow
    state <name> <position> <root>      each projection, where it was
    books <position> <name>=<credits> … totals of all accounts there
    time 2026-11-22T11:04:38.123456Z    the database's

A restoration's text is our own: `<origin> restored`, then `lost`, `kept` and `head` (each with a position and
a hash), `actor`, `reason`, `time`. What is lost is the highest place that was seen and is gone; what is kept,
the highest seen that the log still holds; the head is the log's when it was signed.
"""

import base64
import binascii
import datetime
import re

import msgspec

from events.envelope import GENESIS_HASH, Cursor
from ledger.checkpoints.signed_note import MalformedNoteError

WORDS_MAX = 500
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class SignedState(msgspec.Struct, frozen=True):
    """A projection's root at its position; `root` as in projections/engine/state_root.py."""

    name: str
    position: int
    root: str


class Books(msgspec.Struct, frozen=True):
    """Totals over all `accounts` at a position, in credits."""

    position: int
    totals: tuple[tuple[str, int], ...]


class Checkpoint(msgspec.Struct, frozen=True):
    """Head, Merkle root and states at a time (epoch microseconds)."""

    origin: str
    head: Cursor
    root: bytes
    states: tuple[SignedState, ...]
    books: Books | None
    time_us: int

    def text(self) -> str:
        lines = [self.origin, str(self.head.position), base64.b64encode(self.root).decode()]
        lines.append(f"head {self.head.hash.hex()}")
        lines += [f"state {state.name} {state.position} {state.root}" for state in self.states]
        if self.books is not None:
            totals = "".join(f" {name}={amount}" for name, amount in self.books.totals)
            lines.append(f"books {self.books.position}{totals}")
        lines.append(f"time {time_text(self.time_us)}")
        return "\n".join(lines) + "\n"


class Restored(msgspec.Struct, frozen=True):
    """Signed restoration: positions after `kept` up to `lost` are knowingly gone."""

    origin: str
    lost: Cursor
    kept: Cursor
    head: Cursor
    actor: str
    reason: str
    time_us: int

    def text(self) -> str:
        lines = [f"{self.origin} restored"]
        for name in ("lost", "kept", "head"):
            place: Cursor = getattr(self, name)
            lines.append(f"{name} {place.position} {place.hash.hex()}")
        lines += [f"actor {one_line(self.actor)}", f"reason {one_line(self.reason)}"]
        lines.append(f"time {time_text(self.time_us)}")
        return "\n".join(lines) + "\n"

    def explains(self, place: Cursor, time_us: int) -> bool:
        """Whether it explains that the log lacks a place signed then."""
        known = self.lost.hash != GENESIS_HASH  # zeros: only the position is remembered
        if known and place.position == self.lost.position and place.hash != self.lost.hash:
            return False
        return self.kept.position < place.position <= self.lost.position and time_us <= self.time_us


Statement = Checkpoint | Restored


def parse(text: str) -> Statement:
    """Parse a note's text. Raises MalformedNoteError."""
    lines = text.removesuffix("\n").split("\n")
    try:
        if lines[0].endswith(" restored"):
            return _restored(lines)
        return _checkpoint(lines)
    except (ValueError, IndexError, KeyError, binascii.Error):
        raise MalformedNoteError("the note is signed, but it is no checkpoint and no restoration") from None


def parse_checkpoint(text: str) -> Checkpoint:
    found = parse(text)
    if not isinstance(found, Checkpoint):
        raise MalformedNoteError("the note is no checkpoint but a statement that the log was restored")
    return found


def time_text(time_us: int) -> str:
    """Epoch microseconds as RFC 3339 in UTC, always with six digits."""
    at = _EPOCH + datetime.timedelta(microseconds=time_us)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond:06d}Z"


def time_of(text: str) -> int:
    """Epoch microseconds of RFC 3339. Raises ValueError."""
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    at = datetime.datetime.fromisoformat(text)
    return (at - _EPOCH) // datetime.timedelta(microseconds=1)


def one_line(words: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in words).split())[:WORDS_MAX] or "-"


def _checkpoint(lines: list[str]) -> Checkpoint:
    origin, size, root = lines[:3]
    position = _position(size)
    digest = base64.b64decode(root, validate=True)
    if not origin or len(digest) != 32 or base64.b64encode(digest).decode() != root:
        raise ValueError(root)
    head: bytes | None = None
    states: list[SignedState] = []
    books: Books | None = None
    time_us: int | None = None
    for line in lines[3:]:
        word, _, rest = line.partition(" ")
        match word:
            case "head":
                head = _hash(rest)
            case "state":
                name, at, state_root = rest.split(" ")
                states.append(SignedState(name, _position(at), _hash(state_root).hex()))
            case "books":
                at, *totals = rest.split(" ")
                books = Books(_position(at), tuple(_total(total) for total in totals))
            case "time":
                time_us = time_of(rest)
            case _:
                pass  # extension lines of a later version
    if head is None or time_us is None:
        raise ValueError("head or time")
    found = Checkpoint(origin, Cursor(position, head), digest, tuple(states), books, time_us)
    return found


def _restored(lines: list[str]) -> Restored:
    words = dict(line.split(" ", 1) for line in lines[1:])
    lost, kept, head = [_place(words[name]) for name in ("lost", "kept", "head")]
    origin = lines[0].removesuffix(" restored")
    return Restored(origin, lost, kept, head, words["actor"], words["reason"], time_of(words["time"]))


def _place(text: str) -> Cursor:
    position, _, hash_ = text.partition(" ")
    return Cursor(_position(position), _hash(hash_))


def _position(text: str) -> int:
    if not re.fullmatch(r"0|[1-9][0-9]{0,18}", text):
        raise ValueError(text)
    return int(text)


def _hash(text: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(text)
    return bytes.fromhex(text)


def _total(text: str) -> tuple[str, int]:
    name, _, amount = text.partition("=")
    return name, int(amount)
