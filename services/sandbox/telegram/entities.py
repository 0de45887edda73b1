"""Text as the Bot API understands it: plain text plus entities whose offsets count UTF-16 units."""

from __future__ import annotations

import re
from typing import Any

Entity = dict[str, Any]

_COMMAND = r"(?P<bot_command>(?<![\w/])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![A-Za-z0-9_/]))"
_EMAIL = r"(?P<email>\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b)"
_URL = r"(?P<url>\b(?:https?|tg)://[^\s<>\"]{1,2000}[^\s<>\".,;:!?)\]'»])"
_MENTION = r"(?P<mention>(?<!\w)@[A-Za-z0-9_]{4,32}\b)"
_HASHTAG = r"(?P<hashtag>(?<![\w#])#\w{1,256})"
_FOUND = re.compile("|".join((_URL, _EMAIL, _MENTION, _COMMAND, _HASHTAG)))

# Nothing is looked for inside these.
_OPAQUE = frozenset({"code", "pre", "text_link", "text_mention"})


def utf16_length(text: str) -> int:
    """Length as Telegram counts it: one unit per character, two beyond the basic plane (most emoji)."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Without blanks at both ends, entities moved and cut to fit; as the server does before it stores."""
    left = text.lstrip()
    shift = utf16_length(text) - utf16_length(left)
    clean = left.rstrip()
    end = utf16_length(clean)
    fitted = []
    for entity in entities:
        start = max(0, entity["offset"] - shift)
        stop = min(end, entity["offset"] + entity["length"] - shift)
        if stop > start:
            fitted.append({**entity, "offset": start, "length": stop - start})
    return clean, fitted


def detected(text: str, entities: list[Entity]) -> list[Entity]:
    """The given entities plus links, commands, mentions and hashtags found in the text, in order."""
    found = list(entities)
    opaque = [(e["offset"], e["offset"] + e["length"]) for e in entities if e["type"] in _OPAQUE]
    wide = not text.isascii()
    for match in _FOUND.finditer(text):
        offset = utf16_length(text[: match.start()]) if wide else match.start()
        length = utf16_length(match.group()) if wide else len(match.group())
        if not any(offset < stop and start < offset + length for start, stop in opaque):
            found.append({"offset": offset, "length": length, "type": match.lastgroup})
    return ordered(found)


def ordered(entities: list[Entity]) -> list[Entity]:
    """By place, the outer before the inner; keys in the server's order; twins dropped."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e["offset"], -e["length"], e["type"])):
        head = {"offset": entity["offset"], "length": entity["length"], "type": entity["type"]}
        whole = head | {key: value for key, value in entity.items() if key not in head}
        if whole not in kept:
            kept.append(whole)
    return kept
