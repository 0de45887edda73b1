"""The sandbox's memory: documents, counters and files that survive `kill -9`.

Everything lives in memory (so reads cost nothing) and is written through to one SQLite file before a call
returns. WAL without fsync is enough: a killed process loses nothing that was written, only a crash of the
whole machine could, and a sandbox may lose a minute then.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from events.errors import NeurocardsError

Document = dict[str, Any]

_BUSY_TIMEOUT_S = 3.0
_FILE_NAME_LENGTH_MAX = 200
_SCHEMA = Path(__file__).with_name("store.sql")

_UPSERT = (
    "INSERT INTO documents (kind, key, doc) VALUES (?, ?, ?)"
    " ON CONFLICT (kind, key) DO UPDATE SET doc = excluded.doc"
)
_DELETE = "DELETE FROM documents WHERE kind = ? AND key = ?"
_COUNT = (
    "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


class StoreError(NeurocardsError):
    """The sandbox's folder or a file name in it is unusable."""


class Store:
    """Documents by (kind, key), counters by name, files by relative name.

    `path` is a folder (made when missing) with `sandbox.sqlite3` and `files/`. Documents are JSON objects.
    They are copied on the way in and on the way out, so changing one that was got changes nothing until it is
    `put` back. Not thread-safe: the sandbox is one event loop.
    """

    def __init__(self, path: Path) -> None:
        self._files = path / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        self._documents: dict[str, dict[str, bytes]] = {}
        self._depth = 0
        self._db = _open(path / "sandbox.sqlite3")
        for kind, key, doc in self._db.execute("SELECT kind, key, doc FROM documents ORDER BY id"):
            self._documents.setdefault(kind, {})[key] = doc
        self._counters = dict[str, int](self._db.execute("SELECT name, value FROM counters"))

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Write atomically: after a kill all or nothing. Nests; never await inside."""
        if self._depth == 0:
            self._db.execute("BEGIN IMMEDIATE")
        self._depth += 1
        try:
            yield
        finally:
            # An exception commits too: memory already holds what was written, and the two must agree.
            self._depth -= 1
            if self._depth == 0:
                self._db.execute("COMMIT")

    def put(self, kind: str, key: str, doc: Document) -> None:
        """Insert or replace; a replaced document keeps its place in `all`."""
        encoded = msgspec.json.encode(doc)
        self._db.execute(_UPSERT, (kind, key, encoded))
        self._documents.setdefault(kind, {})[key] = encoded

    def get(self, kind: str, key: str) -> Document | None:
        encoded = self._documents.get(kind, {}).get(key)
        return None if encoded is None else _decode(encoded)

    def all(self, kind: str) -> list[tuple[str, Document]]:
        return [(key, _decode(encoded)) for key, encoded in self._documents.get(kind, {}).items()]

    def delete(self, kind: str, key: str) -> None:
        if self._documents.get(kind, {}).pop(key, None) is not None:
            self._db.execute(_DELETE, (kind, key))

    def next_id(self, counter: str, start: int = 1) -> int:
        """The counter's next value: `start` first, then one more each time, never one twice."""
        value = self.last_id(counter, start) + 1
        self._db.execute(_COUNT, (counter, value))
        self._counters[counter] = value
        return value

    def last_id(self, counter: str, start: int = 1) -> int:
        """The last value of `next_id`; `start - 1` before the first."""
        return self._counters.get(counter, start - 1)

    def write_file(self, name: str, data: bytes) -> None:
        """Write a whole file, atomically for readers."""
        target = self._files / _checked_name(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".part")
        temporary.write_bytes(data)
        os.replace(temporary, target)

    def file_path(self, name: str) -> Path | None:
        """Path on disk; None when it does not exist."""
        path = self._files / _checked_name(name)
        return path if path.is_file() else None


def _open(path: Path) -> sqlite3.Connection:
    # The exclusive lock is held for the process's life: a second sandbox on the same folder is refused
    # instead of the two answering from different memories.
    db = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_SCHEMA.read_text(encoding="utf-8"))
    except sqlite3.OperationalError as error:
        db.close()
        raise StoreError(f"cannot open {path}: {error}; is another sandbox using this folder?") from error
    return db


def _decode(encoded: bytes) -> Document:
    decoded: Document = msgspec.json.decode(encoded)
    return decoded


def _checked_name(name: str) -> str:
    parts = PurePosixPath(name).parts
    too_long = len(name) > _FILE_NAME_LENGTH_MAX
    if not parts or too_long or name.startswith("/") or ".." in parts or "\0" in name:
        raise StoreError(f"not a relative file name: {name[:80]!r}")
    return "/".join(parts)
