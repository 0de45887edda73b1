"""Files that are there whole or not at all: written under another name, made durable, then renamed."""

import contextlib
import os
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from projections.engine.errors import ExportError

_BUFFER_BYTES = 1 << 20


class WholeFile:
    """Writes `path` and hashes what it writes. Leaving the `with` by an exception leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: BinaryIO | None = None
        self._digest = sha256()
        self.size_bytes = 0
        self.closed = False

    def __enter__(self) -> "WholeFile":
        try:
            self._file = self._part.open("xb", buffering=_BUFFER_BYTES)
        except OSError as error:
            raise ExportError(f"cannot write to {self._path.parent}: {error.strerror}") from None
        return self

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Append."""
        assert self._file is not None
        try:
            self._file.write(data)
        except OSError as error:
            raise ExportError(f"{self._path} cannot be written: {error.strerror}") from None
        self._digest.update(data)
        self.size_bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing yet: what is written becomes durable at the end."""

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._digest.hexdigest()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
