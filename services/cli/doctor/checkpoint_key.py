"""The key that signs checkpoints, and the folder they go to."""

import os
import stat

from services.cli.doctor.check import Check, fail, ok, warn
from services.platform.errors import SettingsError
from services.platform.settings import Settings
from services.recovery import checkpoint_files


def check_signing(settings: Settings) -> list[Check]:
    """Whether checkpoints are signed, with which key, and whether others could read it."""
    try:
        key = checkpoint_files.signing_key(settings)
    except SettingsError as error:
        name, _, reason = str(error).partition(":")
        return [
            fail(name, reason.strip(), "set it right, or make a key with `neurocards ledger keygen FILE`")
        ]
    path = checkpoint_files.key_path(settings)
    if key is None or path is None:
        found = "not set: no checkpoints are signed (`neurocards up` makes a key)"
        return [ok("CHECKPOINT_KEY_FILE", found)]
    found = f"{path}: signs as {key.public}"
    if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return [warn("CHECKPOINT_KEY_FILE", f"{path} can be read by others", f"chmod 600 {path}")]
    folder = checkpoint_files.folder(settings)
    if folder.exists() and not os.access(folder, os.W_OK):
        return [fail("CHECKPOINT_DIR", f"{folder} is not writable", "choose a folder you may write to")]
    return [ok("CHECKPOINT_KEY_FILE", found)]
