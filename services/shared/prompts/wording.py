"""Cutting and joining of texts. Lengths are in UTF-16 units, the shortest measure a provider may count by."""

import re
from string import Template
from typing import Final

_JOINERS: Final = "\u200d\ufe0e\ufe0f"


def length(text: str) -> int:
    """How long a provider may find it: an emoji counts as two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def clip(text: str, length_max: int) -> str:
    """The text, or its beginning up to a whole word, never longer than `length_max`."""
    if length(text) <= length_max:
        return text
    if length_max <= 1:
        return ""
    cut = _beginning(text, length_max - 1)
    return (cut.rpartition(" ")[0] or cut).rstrip(",;:-– " + _JOINERS) + "…"


def filled(template: str, **places: str) -> str:
    """The template with its `$name` places filled in; what is put there is never read as a template."""
    return Template(template).substitute(places)


def squeezed(text: str) -> str:
    """Line breaks of the files become spaces, empty lines stay as paragraphs."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(part for part in paragraphs if part)


def sentence(text: str) -> str:
    """The text in one line, with a full stop."""
    text = " ".join(text.split())
    return text if not text or text[-1] in ".!?…" else text + "."


def _beginning(text: str, length_max: int) -> str:
    taken = 0
    for at, character in enumerate(text):
        taken += 2 if character > "\uffff" else 1
        if taken > length_max:
            return text[:at]
    return text
