"""Start of a process that appends, as the log tells it: which code, which settings.

The digest of settings is there to be compared: the same settings give the same, another value another. It
must not help anybody who guesses. So of what is secret, or personal (ADMIN_IDS), only counts whether it is
set; of addresses scheme, host and port; and nothing that differs between two instances of one process.
"""

import hashlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

import services
from ledger.log.ledger import Ledger
from ledger.system.commands import RecordStart
from services.platform.ids import new_id
from services.platform.settings import Settings

_OF_ONE_INSTANCE: Final = frozenset(("data_dir", "health_host", "health_port", "instance_name", "ready_file"))
_PERSONAL: Final = frozenset(("admin_ids",))
_GIT: Final = Path(services.__file__).parents[1] / ".git"


async def record_start(ledger: Ledger, settings: Settings, process: str) -> None:
    """Append SystemStarted, before the process appends anything else. Raises LedgerError."""
    version, _, commit = program(settings).partition(" ")
    command = RecordStart(process, version, commit, settings_digest(settings))
    await ledger.execute(command, key=f"started:{process}:{new_id()}")


def program(settings: Settings) -> str:
    """The code's version, and its commit if that is known."""
    return f"{services.__version__} {settings.commit or _head()}".strip()


def settings_digest(settings: Settings) -> str:
    """SHA-256, in hex, of the settings as canonical JSON without secrets."""
    told = {
        name: _told(name, getattr(settings, name))
        for name in type(settings).model_fields
        if name not in _OF_ONE_INSTANCE
    }
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


def _told(name: str, value: Any) -> Any:
    match value:
        case SecretStr() | (SecretStr(), *_):
            return "set"
        case str() if "://" in value:
            parts = urlsplit(value)
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        case tuple() if name in _PERSONAL:
            return bool(value)
        case _:
            return str(value)


def _head() -> str:
    """Commit of the clone this runs from; empty when it is none, or packed."""
    try:
        head = (_GIT / "HEAD").read_text("ascii").strip()
        return (_GIT / head[5:]).read_text("ascii").strip() if head.startswith("ref: ") else head
    except OSError:
        return ""
