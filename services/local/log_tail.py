"""Follows the services' logs and repeats warnings and errors on the console, a short line each."""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

_INTERVAL_S = 0.3
_LONGEST_LINE = 300
_CONSOLE_LINE = re.compile(r"^\S+ \[(?:\x1b\[[0-9;]*m)*(warning|error|critical)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class WarningTail:
    """Reads only what is written from now on."""

    def __init__(self, logs: Mapping[str, Path], say: Callable[[str], None]) -> None:
        self._logs = logs
        self._say = say
        self._read_bytes = {name: path.stat().st_size if path.exists() else 0 for name, path in logs.items()}

    async def follow(self) -> None:
        """Never returns; cancel it."""
        while True:
            self.read()
            await asyncio.sleep(_INTERVAL_S)

    def read(self) -> None:
        """Repeat what has come since the last time; a line that is not whole yet waits."""
        for name, path in self._logs.items():
            try:
                with path.open("rb") as log:
                    log.seek(self._read_bytes[name])
                    fresh = log.read()
            except OSError:
                continue
            whole = fresh.rpartition(b"\n")[0]
            if whole:
                self._read_bytes[name] += len(whole) + 1
            for line in whole.decode("utf-8", errors="replace").splitlines():
                short = _worth_repeating(line)
                if short:
                    self._say(f"{name:>10} | {short}")


def _worth_repeating(line: str) -> str | None:
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            return None
        if not isinstance(entry, dict) or entry.get("level") not in ("warning", "error", "critical"):
            return None
        rest = {
            k: v for k, v in entry.items() if k not in ("level", "timestamp", "service", "logger", "event")
        }
        line = (
            f"[{entry['level']}] {entry.get('event')} {json.dumps(rest, ensure_ascii=False) if rest else ''}"
        )
    elif not _CONSOLE_LINE.match(line):
        return None
    else:
        line = re.sub(r" +", " ", _COLOURS.sub("", line).partition(" ")[2])
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…"
