"""The data folder of one machine: its lock, paths and sockets.

.neurocards/
  postgres/ valkey/     the databases
  blobs/ sandbox/       photos and videos; the sandbox's memory
  keys/checkpoint.key   signs checkpoints, unless CHECKPOINT_KEY_FILE is set; checkpoints/ holds them
  logs/                 one file per process, the last run's beside it as *.1
  run/                  sockets, ready files, `up.json` (addresses, for other commands), the lock
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.local.system_user import make_private
from services.platform.errors import StartError

_SOCKET_PATH_BYTES = 100
"""Linux takes 107 bytes, macOS 103; `/.s.PGSQL.5432` is the longest name we use."""
_LONGEST_NAME = ".s.PGSQL.65535.lock"
_ROOM_BYTES_MIN = 100_000_000
"""Fresh databases take half of it; with less Postgres breaks off in the middle of something."""


class DataFolder:
    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.addresses = self.run / "up.json"

    def prepare(self) -> None:
        """Make the folders, private to this user. Raises StartError when there is no way or no room."""
        try:
            for folder in (self.root, self.run, self.logs, self.valkey):
                folder.mkdir(parents=True, exist_ok=True)
                make_private(folder)
        except OSError as error:
            raise StartError(
                f"NEUROCARDS_DATA_DIR: cannot write to {self.root}: {error.strerror}; choose another folder"
            ) from None
        if (free := shutil.disk_usage(self.root).free) < _ROOM_BYTES_MIN:
            raise StartError(
                f"NEUROCARDS_DATA_DIR: the disk of {self.root} has only {free // 1_000_000} MB left, and the"
                f" databases need {_ROOM_BYTES_MIN // 1_000_000} MB: free some, or choose another disk"
            )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder; the lock ends with the process. Raises StartError when another holds it."""
        path = self.run / "lock"
        with path.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                chat = self._addresses().get("chat_url")
                where = f"; its chat: {chat}" if chat else ""
                raise StartError(
                    f"`neurocards up` (pid {holder}) already runs on {self.root}{where}\n"
                    "Stop it with Ctrl-C where it runs, or set NEUROCARDS_DATA_DIR to another folder"
                ) from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            try:
                yield
            finally:
                self.addresses.unlink(missing_ok=True)

    def in_use(self) -> bool:
        try:
            with (self.run / "lock").open("a+", encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False

    def died(self) -> int | None:
        """The process id of a `neurocards up` that left its addresses: it was killed."""
        pid = self._addresses().get("pid")
        return None if pid is None or self.in_use() else int(pid)

    def running_addresses(self) -> dict[str, Any]:
        return self._addresses() if self.in_use() else {}

    def _addresses(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(self.addresses.read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
        return {}

    def log_path(self, name: str) -> Path:
        """The log of one process; `rotate_logs` bounds it."""
        return self.logs / f"{name}.log"

    def socket_folder(self) -> Path:
        """Where sockets have short enough paths: here, or in this user's temporary folder."""
        if _holds_sockets(self.run):
            return self.run
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:10]
        for parent in dict.fromkeys((os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp")):  # noqa: S108
            if parent is None or not Path(parent).is_dir():
                continue
            own = Path(parent) / f"neurocards-{os.geteuid()}"
            with contextlib.suppress(OSError):
                for folder in (own, own / name):
                    folder.mkdir(exist_ok=True)
                    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                        raise StartError(f"{folder} belongs to someone else; remove it or set TMPDIR")
                    make_private(folder)
                if _holds_sockets(own / name):
                    return own / name
        raise StartError("no folder for the databases' sockets has a short enough path: set TMPDIR to one")


def _holds_sockets(folder: Path) -> bool:
    path = folder / _LONGEST_NAME
    if len(os.fsencode(path)) > _SOCKET_PATH_BYTES:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            path.unlink(missing_ok=True)
            probe.bind(str(path))
        except OSError:
            return False
        path.unlink()
    return True
