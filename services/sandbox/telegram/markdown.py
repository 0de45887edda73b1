"""`parse_mode=MarkdownV2` and the older `Markdown`, with the server's sentences for what is wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from services.sandbox.telegram.errors import BotApiError

# Text as the Bot API understands it: plain text plus entities whose offsets count UTF-16 units.


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


# Longer marks first: `__` is underline before `_` is italic.
_MARKS_V2 = {
    "```": "pre",
    "||": "spoiler",
    "__": "underline",
    "*": "bold",
    "_": "italic",
    "~": "strikethrough",
    "`": "code",
}
_MARKS_OLD = {"```": "pre", "*": "bold", "_": "italic", "`": "code"}
_RESERVED_V2 = frozenset("_*[]()~`>#+-=|{}.!")
_NAMES = {
    "pre": "Pre",
    "spoiler": "Spoiler",
    "underline": "Underline",
    "bold": "Bold",
    "italic": "Italic",
    "strikethrough": "Strikethrough",
    "code": "Code",
    "text_link": "TextUrl",
    "blockquote": "Blockquote",
}


@dataclass
class _Open:
    mark: str
    kind: str
    offset: int
    byte: int


def parse_markdown(source: str, version: int) -> tuple[str, list[Entity]]:
    """Plain text and entities for version 1 or 2. Raises BotApiError 400 `can't parse entities: ...`."""
    return _Parser(source, version).run()


class _Parser:
    def __init__(self, source: str, version: int) -> None:
        self._source = source
        self._strict = version == 2
        self._marks = _MARKS_V2 if self._strict else _MARKS_OLD
        self._at = 0
        self._text: list[str] = []
        self._length = 0
        self._stack: list[_Open] = []
        self._entities: list[Entity] = []

    def run(self) -> tuple[str, list[Entity]]:
        while self._at < len(self._source):
            self._step()
        self._end_quote()
        if self._stack:
            opened = self._stack[-1]
            raise _cannot(f"Can't find end of {_NAMES[opened.kind]} entity at byte offset {opened.byte}")
        return "".join(self._text), self._entities

    def _step(self) -> None:
        char = self._source[self._at]
        inside = self._stack[-1] if self._stack else None
        if char == "\\" and self._escaped(inside):
            self._emit(self._source[self._at + 1], 2)
        elif inside is not None and inside.kind in ("code", "pre"):
            if self._source.startswith(inside.mark, self._at):
                self._close(inside)
            else:
                self._emit(char)
        elif self._strict and char == ">" and self._at_line_start():
            if not any(opened.kind == "blockquote" for opened in self._stack):
                self._open(">", "blockquote")
            else:
                self._at += 1
        elif char == "[":
            self._open("[", "text_link")
        elif char == "]" and inside is not None and inside.kind == "text_link":
            self._close_link(inside)
        else:
            self._mark_or_character(char, inside)

    def _mark_or_character(self, char: str, inside: _Open | None) -> None:
        mark = next((m for m in self._marks if self._source.startswith(m, self._at)), None)
        if mark is not None:
            opened = next((o for o in reversed(self._stack) if o.mark == mark), None)
            if opened is None:
                self._open(mark, self._marks[mark])
            elif opened is inside:
                self._close(opened)
            else:
                raise _cannot(
                    f"Can't find end of {_NAMES[inside.kind if inside else opened.kind]} entity "
                    f"at byte offset {inside.byte if inside else opened.byte}"
                )
            return
        if (
            self._strict
            and char in _RESERVED_V2
            and not (char == "!" and self._source[self._at + 1 :][:1] == "[")
        ):
            raise _cannot(f"Character '{char}' is reserved and must be escaped with the preceding '\\'")
        if char == "\n" and not self._source.startswith(">", self._at + 1):
            self._end_quote()
        if char != "!" or not self._strict:
            self._emit(char)
        else:
            self._at += 1  # a custom emoji's mark; what follows is read as a link

    def _escaped(self, inside: _Open | None) -> bool:
        following = self._source[self._at + 1 : self._at + 2]
        if not following:
            return False
        if self._strict:
            return ord(following) < 128 and not following.isalnum()
        return inside is None and following in "_*`["

    def _at_line_start(self) -> bool:
        return self._at == 0 or self._source[self._at - 1] == "\n"

    def _emit(self, piece: str, consumed: int = 1) -> None:
        self._text.append(piece)
        self._length += utf16_length(piece)
        self._at += consumed

    def _open(self, mark: str, kind: str) -> None:
        self._stack.append(_Open(mark, kind, self._length, len(self._source[: self._at].encode())))
        self._at += len(mark)

    def _close(self, opened: _Open, **extra: Any) -> None:
        self._stack.remove(opened)
        self._at += len(opened.mark)
        if opened.kind == "pre":
            extra |= self._language(opened)
        length = self._length - opened.offset
        if length > 0:
            self._entities.append({"offset": opened.offset, "length": length, "type": opened.kind, **extra})

    def _language(self, opened: _Open) -> dict[str, str]:
        """A word straight after the opening mark names the language and is not part of the text."""
        whole = "".join(self._text)
        start = len(whole.encode("utf-16-le")[: opened.offset * 2].decode("utf-16-le"))
        word, newline, rest = whole[start:].partition("\n")
        if not newline or not word or not all(c.isalnum() or c in "+-#_" for c in word):
            return {}
        self._text = [whole[:start], rest]
        self._length = utf16_length(whole[:start] + rest)
        return {"language": word}

    def _close_link(self, opened: _Open) -> None:
        self._close(opened)
        entity = self._entities.pop() if self._length > opened.offset else None
        end = self._source.find(")", self._at)
        if not self._source.startswith("(", self._at):
            if self._strict:
                raise _cannot(f"Can't find end of TextUrl entity at byte offset {opened.byte}")
            return
        if end == -1:
            raise _cannot("Can't find end of a URL")
        url = self._source[self._at + 1 : end].replace("\\", "")
        self._at = end + 1
        if entity is not None:
            self._entities.append(entity | {"url": url})

    def _end_quote(self) -> None:
        opened = self._stack[-1] if self._stack else None
        if opened is not None and opened.kind == "blockquote":
            self._close(opened)
            self._at -= len(opened.mark)


def _cannot(complaint: str) -> BotApiError:
    return BotApiError(400, f"Bad Request: can't parse entities: {complaint}")
