"""Writes `.env.example` from the settings: `python -m tests.support.env_example > .env.example`."""

import sys
import textwrap
from pathlib import Path

from services.platform.settings import Settings, variable_name

_HEADER = """\
# Every setting, its meaning and its default. Copy to .env and uncomment what you change.
# The environment wins over .env. Empty means not set. What has no key stays in the sandbox.
"""


def render_example() -> str:
    """The file's text: one commented-out line per setting, under its meaning."""
    parts = [_HEADER]
    for field, info in Settings.model_fields.items():
        meaning = textwrap.wrap(str(info.description), width=105)
        lines = [f"# {line}" for line in meaning]
        parts.append("\n".join([*lines, f"#{variable_name(field)}={_default(info.default)}"]) + "\n")
    return "\n".join(parts)


def _default(value: object) -> str:
    if value is None or value == ():
        return ""
    return str(value) if isinstance(value, str | int | float | Path) else ""


if __name__ == "__main__":
    sys.stdout.write(render_example())
