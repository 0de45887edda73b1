"""Signing key and checkpoint files on this machine.

The folder is what the auditor copies: one file per note, named by kind, position and time, never written
twice. It outlives a restore of the database.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

from events.system import generation
from ledger.checkpoints.checkpoint import Checkpoint, Statement, parse, time_text
from ledger.checkpoints.signed_note import (
    NOTE_BYTES_MAX,
    MalformedKeyError,
    PrivateKey,
    new_key,
    parse_private,
)
from ledger.sql import load_queries
from services.platform.errors import SettingsError
from services.platform.settings import Settings

query = load_queries("services.recovery")

DEFAULT_NAME: Final = "neurocards/ledger"
KEY_FILE: Final = "checkpoint.key"
FOLDER: Final = "checkpoints"
SUFFIX: Final = ".note"
NOTES_MAX: Final = 200


def key_path(settings: Settings) -> Path | None:
    """Private key's path; None when neither configured nor made here."""
    if settings.checkpoint_key_file is not None:
        return settings.checkpoint_key_file.expanduser()
    return made_here(settings) if made_here(settings).exists() else None


def made_here(settings: Settings) -> Path:
    """Where the key is unless configured, in a folder of its own: in containers a volume of who signs."""
    return settings.data_dir.expanduser() / "keys" / KEY_FILE


def folder(settings: Settings) -> Path:
    if settings.checkpoint_dir is not None:
        return settings.checkpoint_dir.expanduser()
    return settings.data_dir.expanduser() / FOLDER


def note_places(settings: Settings) -> list[str]:
    """Where notes are sent: `chat -100123`, `mail olga@example.org`, `bucket s3://notes/cards`."""
    chats = [] if settings.notes_chat_id is None else [f"chat {settings.notes_chat_id}"]
    buckets = [f"bucket {settings.notes_bucket.partition('?')[0]}"] if settings.notes_bucket else []
    return [*chats, *(f"mail {address}" for address in settings.notes_mail_to), *buckets]


def signing_keys(settings: Settings) -> list[PrivateKey]:
    """The private keys, the log's first; none without a file. Raises SettingsError for unusable ones."""
    path = key_path(settings)
    if path is None:
        return []
    try:
        keys = [parse_private(line) for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise SettingsError([f"CHECKPOINT_KEY_FILE: {path} cannot be read: {reason}"]) from None
    except MalformedKeyError as error:
        raise SettingsError([f"CHECKPOINT_KEY_FILE: {path}: {error}"]) from None
    names = {key.name for key in keys}
    if len(names) != 1:
        raise SettingsError([f"CHECKPOINT_KEY_FILE: {path} holds no key, or keys of several names"])
    if settings.log_name not in (None, *names):
        raise SettingsError(
            [f"LOG_NAME: is {settings.log_name}, but the key in {path} signs as {keys[0].name}"]
        )
    return keys


def require_signing_keys(settings: Settings) -> list[PrivateKey]:
    """The private keys. Raises SettingsError without any."""
    keys = signing_keys(settings)
    if not keys:
        raise SettingsError(
            ["CHECKPOINT_KEY_FILE: is not set; make a key with `neurocards ledger keygen FILE`"]
        )
    return keys


def make_key(path: Path, name: str) -> PrivateKey:
    """Create a key file only its owner can read. Raises FileExistsError, MalformedKeyError."""
    if generation(name)[1] > 1:
        raise MalformedKeyError("a log's name ends in no number: that is how often it was restored")
    key = new_key(name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.reveal() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key


def file_name(statement: Statement) -> str:
    """E.g. `checkpoint-000000000123-5f70a1c2.note`, with the root's first bytes: by name is by position."""
    if isinstance(statement, Checkpoint):
        return f"checkpoint-{statement.size:012d}-{statement.root[:4].hex()}{SUFFIX}"
    time = time_text(statement.time_us).replace("-", "").replace(":", "")
    return f"restored-{statement.head.position:012d}-{time}{SUFFIX}"


def keep_note(where: Path, note: str) -> Path:
    where.mkdir(parents=True, exist_ok=True)
    return write_file(where / file_name(parse(note)), note)


def write_file(target: Path, note: str) -> Path:
    """Write a note atomically; durable when it returns."""
    if target.exists() and target.read_bytes() == note.encode():
        return target
    fresh = target.with_name(f".{target.name}.{os.getpid()}")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(note)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)
    return target


def kept_notes(where: Path, limit: int = NOTES_MAX) -> list[str]:
    """Furthest notes of a folder, at most `limit` of each kind; none without a folder."""
    found: list[str] = []
    for kind in ("checkpoint", "restored"):
        for path in sorted(where.glob(f"{kind}-*{SUFFIX}"), reverse=True)[:limit]:
            with contextlib.suppress(OSError, UnicodeDecodeError), path.open("rb") as file:
                found.append(file.read(NOTE_BYTES_MAX + 1).decode())
    return found
