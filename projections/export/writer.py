"""Export the log to a file with COPY, in constant memory."""

import contextlib
import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from events.envelope import GENESIS_HASH
from ledger.checkpoints.checkpoint import Checkpoint, time_text
from ledger.checkpoints.merkle import CompactRange
from ledger.checkpoints.merkle_store import Tree
from ledger.checkpoints.store import newest_checkpoint
from ledger.errors import IntegrityError
from ledger.postgres import Connection, Pool
from ledger.sql import load_queries
from projections.engine.errors import ExportError
from projections.export.manifest import Format, Manifest, path_of, totals_of
from projections.reports.log_position import NOW, AsOf, locate

query = load_queries("projections.export")
verify_query = load_queries("projections.verify")

Progress = Callable[[int], None]
"""Called with the position reached."""

_TELL_EVERY = 5000
_BUFFER_BYTES = 1 << 20

Write = Callable[[bytes], Any]

COPY: Final[dict[str, dict[str, Any]]] = {
    # One column, and neither of these characters can be in it: COPY writes each line as it is.
    "jsonl": {"format": "csv", "quote": "\x01", "delimiter": "\x02"},
    "csv": {"format": "csv", "header": True},
}


class WholeFile:
    """Atomic file: written under another name, synced, renamed; hashes its bytes.

    Leaving the `with` by an exception leaves nothing behind.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: BinaryIO | None = None
        self._digest = sha256()
        self.size_bytes = 0

    def __enter__(self) -> "WholeFile":
        try:
            self._file = self._part.open("xb", buffering=_BUFFER_BYTES)
        except OSError as error:
            raise ExportError(f"cannot write to {self._path.parent}: {error.strerror}") from None
        return self

    def write(self, data: bytes) -> int:
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise ExportError(f"{self._path} cannot be written: {error.strerror}") from None
        self._digest.update(data)
        self.size_bytes += len(data)
        return len(data)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if kind is None:
                self._part.replace(self._path)
                _sync_folder(self._path.parent)
        except OSError as failure:
            raise ExportError(f"{self._path} cannot be written: {failure.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a rename durable, where folders can be opened."""
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class Range(msgspec.Struct, frozen=True):
    """Positions `first` … `last` with both hashes; `last` = `first` - 1 when empty."""

    first: int
    last: int
    hash_before: bytes
    head_hash: bytes
    first_us: int | None
    last_us: int | None
    now_us: int

    @property
    def events(self) -> int:
        return self.last - self.first + 1


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    reading: dict[str, Any] = {"isolation": "repeatable_read", "readonly": True}
    async with pool.acquire() as connection, connection.transaction(**reading):
        yield connection


async def range_of(connection: Connection, start: AsOf | None, end: AsOf = NOW) -> Range:
    """Positions between two points. Raises NothingOfThatNameError, IntegrityError (holes)."""
    first = 1 if start is None else (await locate(connection, start.before())).position + 1
    last = max((await locate(connection, end)).position, first - 1)
    row = await connection.fetchrow(query("export_ends"), first, last)
    assert row is not None
    before = GENESIS_HASH if first == 1 else row["hash_before"]
    head = before if last < first else row["head_hash"]
    if before is None or head is None:
        raise IntegrityError(f"position {first - 1 if before is None else last} is missing from the log")
    return Range(first, last, before, head, row["first_us"], row["last_us"], row["now_us"])


async def copy(connection: Connection, what: Range, form: str, write: Write, progress: Progress) -> int:
    """COPY the rows as `jsonl` or `csv` to `write`; their count."""
    done = told = 0

    async def take(data: bytes) -> None:
        nonlocal done, told
        write(data)
        done += data.count(b"\n")
        if done - told >= _TELL_EVERY:
            told = done
            progress(min(what.first + done - 1, what.last))

    status = await connection.copy_from_query(
        query(f"export_{form}"), what.first, what.last, output=take, **COPY[form]
    )
    copied = re.fullmatch(r"COPY (\d+)", status)
    return int(copied[1]) if copied else what.events


async def export(
    connection: Connection,
    what: Range,
    path: Path,
    form: Format,
    progress: Progress = lambda position: None,
) -> Manifest:
    """Write a range of the snapshot and its manifest.

    Raises ExportError when that cannot be, and IntegrityError, with the files written, for a log with holes.
    """
    with WholeFile(path) as file:
        count = await copy(connection, what, form, file.write, progress)
    sums = await connection.fetch(query("export_sums"), what.first, what.last)
    types: Counter[str] = Counter()
    for type_name, _, events, _ in sums:
        types[type_name] += events
    manifest = Manifest(
        format=form,
        file=path.name,
        first_position=what.first,
        last_position=what.last,
        events=count,
        hash_before=what.hash_before.hex(),
        head_hash=what.head_hash.hex(),
        first_at=None if what.first_us is None or count == 0 else time_text(what.first_us),
        last_at=None if what.last_us is None or count == 0 else time_text(what.last_us),
        types=dict(sorted(types.items())),
        totals=totals_of((type_name, kind, credits) for type_name, kind, _, credits in sums),
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        made_at=time_text(what.now_us),
        decided=await _decided(connection, what),
    )
    if count == what.events:
        manifest = msgspec.structs.replace(manifest, **await _beside(connection, what))
    with WholeFile(path_of(path)) as beside:
        beside.write(manifest.text().encode())
    if count != what.events:
        raise IntegrityError(
            f"the log has holes: {count} events between positions {what.first} and {what.last}; "
            "the file holds what is there, run `neurocards ledger verify`"
        )
    return manifest


async def _beside(connection: Connection, what: Range) -> dict[str, Any]:
    """Nodes of the tree beside the range, up to a checkpoint."""
    note = await newest_checkpoint(connection, at_least=what.last)
    if note is None or not isinstance(note.statement, Checkpoint):
        return {"left": _hex(await Tree(connection).nodes(0, what.first - 1))}
    signed = note.statement
    for tiles in (True, False):  # tiles may be damaged: the second time from rows
        tree, whole = Tree(connection, tiles=tiles), CompactRange()
        parts = [(0, what.first - 1), (what.first - 1, what.last), (what.last, signed.size)]
        left, within, right = [await tree.nodes(*part) for part in parts]
        for (_, end), nodes in zip(parts, (left, within, right), strict=True):
            whole.extend(end, nodes)
        if whole.root() == signed.root:
            break
    return {"left": _hex(left), "right": _hex(right), "note": note.note}


def _hex(nodes: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(node.hex() for node in nodes)


async def _decided(connection: Connection, what: Range) -> dict[str, int]:
    """Decision times by position, for files whose rules are checked."""
    rows = await connection.fetch(verify_query("decision_times"), 0) if what.first == 1 else []
    return {str(position): decided_us for position, decided_us in rows if position <= what.last}


def require_writable(path: Path, *, overwrite: bool) -> None:
    """Raise ExportError early, before hours of work."""
    if path.is_dir():
        raise ExportError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise ExportError(f"there is no folder {path.parent}; make it first")
    if not overwrite and (path.exists() or path_of(path).exists()):
        raise ExportError(f"{path} is there already; name another file, or use --overwrite")
