"""Formatted text: entities in UTF-16 units, from HTML and MarkdownV2.

What cannot be parsed is refused with the server's own sentences, which count offsets in bytes.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from services.sandbox.telegram.calls import BotApiError, bad_request

Entity = dict[str, Any]

_COMMAND = r"(?P<bot_command>(?<![\w/])/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?(?![A-Za-z0-9_/]))"
_EMAIL = r"(?P<email>\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b)"
_URL = r"(?P<url>\b(?:https?|tg)://[^\s<>\"]{1,2000}[^\s<>\".,;:!?)\]'»])"
_MENTION = r"(?P<mention>(?<!\w)@[A-Za-z0-9_]{4,32}\b)"
_HASHTAG = r"(?P<hashtag>(?<![\w#])#\w{1,256})"
_FOUND = re.compile("|".join((_URL, _EMAIL, _MENTION, _COMMAND, _HASHTAG)))

# Nothing is looked for inside these.
_OPAQUE = frozenset({"code", "pre", "text_link", "text_mention"})


def parsed(raw: str, parse_mode: str, given: list[Entity]) -> tuple[str, list[Entity]]:
    """Plain text and its entities, found ones included. Raises BotApiError 400."""
    mode = parse_mode.strip().lower()
    if mode == "html":
        text, entities = _Html(raw).run()
    elif mode == "markdownv2":
        text, entities = _Markdown(raw).run()
    elif mode in ("", "none"):
        text, entities = raw, given
    else:
        raise bad_request("unsupported parse_mode")
    text, entities = trimmed(text, entities)
    return text, detected(text, _ordered(entities))


def utf16_length(text: str) -> int:
    """Length in UTF-16 units: two beyond the basic plane (most emoji)."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def trimmed(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Strip blanks, entities moved and cut to fit; as the server does before it stores."""
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
    """Add links, commands, mentions and hashtags found in the text, in order."""
    found = list(entities)
    opaque = [(e["offset"], e["offset"] + e["length"]) for e in entities if e["type"] in _OPAQUE]
    for match in _FOUND.finditer(text):
        offset = utf16_length(text[: match.start()])
        length = utf16_length(match.group())
        if not any(offset < stop and start < offset + length for start, stop in opaque):
            found.append({"offset": offset, "length": length, "type": match.lastgroup})
    return _ordered(found)


def _ordered(entities: list[Entity]) -> list[Entity]:
    """By place, the outer before the inner; keys in the server's order; twins dropped."""
    kept: list[Entity] = []
    for entity in sorted(entities, key=lambda e: (e["offset"], -e["length"], e["type"])):
        head = {"offset": entity["offset"], "length": entity["length"], "type": entity["type"]}
        whole = head | {key: value for key, value in entity.items() if key not in head}
        if whole not in kept:
            kept.append(whole)
    return kept


def _cannot(complaint: str) -> BotApiError:
    return BotApiError(400, f"Bad Request: can't parse entities: {complaint}")


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._text: list[str] = []
        self._length = 0
        self._entities: list[Entity] = []

    def _emit(self, piece: str, consumed: int) -> None:
        self._text.append(piece)
        self._length += utf16_length(piece)
        self._at += consumed

    def _bytes_to(self, index: int) -> int:
        return len(self._source[:index].encode())


@dataclass
class _OpenTag:
    name: str
    attributes: dict[str, str]
    offset: int
    pieces: int


_TAGS = {
    "b": "bold",
    "strong": "bold",
    "i": "italic",
    "em": "italic",
    "u": "underline",
    "ins": "underline",
    "s": "strikethrough",
    "strike": "strikethrough",
    "del": "strikethrough",
    "tg-spoiler": "spoiler",
    "span": "spoiler",
    "code": "code",
    "pre": "pre",
    "blockquote": "blockquote",
    "a": "text_link",
}
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot));?")
_TAG_NAME = re.compile(r"[^\s>/]*")
_ATTRIBUTE = re.compile(r"""\s*([^\s=>/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+))?""")
_CLASS_LANGUAGE = "language-"


class _Html(_Parser):
    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._stack: list[_OpenTag] = []

    def run(self) -> tuple[str, list[Entity]]:
        while self._at < len(self._source):
            char = self._source[self._at]
            if char == "<" and self._source.startswith("</", self._at):
                self._end_tag(self._at)
            elif char == "<":
                self._start_tag(self._at)
            elif char == "&":
                self._reference()
            else:
                end = min((i for c in "<&" if (i := self._source.find(c, self._at)) != -1), default=None)
                piece = self._source[self._at : end]
                self._emit(piece, len(piece))
        if self._stack:
            raise _cannot(f'Can\'t find end tag corresponding to start tag "{self._stack[-1].name}"')
        for entity in self._entities:
            entity.pop("_language", None)
        return "".join(self._text), self._entities

    def _reference(self) -> None:
        match = _REFERENCE.match(self._source, self._at)
        if match is None:
            self._emit("&", 1)
            return
        decimal, hexadecimal, name = match.groups()
        meant = _NAMED[name] if name else html.unescape(f"&#{decimal or 'x' + hexadecimal};")
        self._emit(meant, len(match.group()))

    def _start_tag(self, begin: int) -> None:
        name_match = _TAG_NAME.match(self._source, begin + 1)
        name = name_match.group().lower() if name_match else ""
        if name not in _TAGS:
            if self._source.find(">", begin) == -1:
                raise self._cannot_at("Unclosed start tag", begin)
            raise self._cannot_at(f'Unsupported start tag "{name}"', begin)
        self._at = begin + 1 + len(name)
        attributes = self._attributes(name, begin)
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise self._cannot_at('Tag "span" must have class "tg-spoiler"', begin)
        self._stack.append(_OpenTag(name, attributes, self._length, len(self._text)))

    def _attributes(self, tag: str, begin: int) -> dict[str, str]:
        attributes: dict[str, str] = {}
        while True:
            while self._at < len(self._source) and self._source[self._at].isspace():
                self._at += 1
            if self._at >= len(self._source):
                raise self._cannot_at("Unclosed start tag", begin)
            if self._source[self._at] == ">":
                self._at += 1
                return attributes
            match = _ATTRIBUTE.match(self._source, self._at)
            if match is None:
                raise self._cannot_at(f'Empty attribute name in the tag "{tag}"', self._at)
            attributes[match.group(1).lower()] = html.unescape((match.group(2) or "").strip("\"'"))
            self._at = match.end()

    def _end_tag(self, begin: int) -> None:
        end = self._source.find(">", begin)
        if not self._stack:
            raise self._cannot_at("Unexpected end tag", begin)
        if end == -1:
            raise self._cannot_at("Unclosed end tag", begin)
        name = self._source[begin + 2 : end].strip().lower()
        opened = self._stack.pop()
        if name not in ("", opened.name):
            raise _cannot(
                f'Unmatched end tag at byte offset {self._bytes_to(begin)}, expected "</{opened.name}>", '
                f'found "</{name}>"'
            )
        self._at = end + 1
        if self._length > opened.offset:
            self._close(opened, self._length - opened.offset)

    def _close(self, opened: _OpenTag, length: int) -> None:
        extra = _extra(opened, "".join(self._text[opened.pieces :]))
        if extra is None:
            return
        if opened.name == "pre" and self._entities and self._entities[-1].get("_language"):
            inner = self._entities[-1]
            if inner["offset"] == opened.offset and inner["length"] == length:
                extra["language"] = self._entities.pop()["_language"]
        entity = {"offset": opened.offset, "length": length, "type": _TAGS[opened.name], **extra}
        if opened.name == "code" and opened.attributes.get("class", "").startswith(_CLASS_LANGUAGE):
            inside_pre = bool(self._stack) and self._stack[-1].name == "pre"
            if inside_pre:
                entity["_language"] = opened.attributes["class"].removeprefix(_CLASS_LANGUAGE)
        if opened.name == "blockquote" and "expandable" in opened.attributes:
            entity["type"] = "expandable_blockquote"
        self._entities.append(entity)

    def _cannot_at(self, complaint: str, index: int) -> BotApiError:
        return _cannot(f"{complaint} at byte offset {self._bytes_to(index)}")


def _extra(opened: _OpenTag, text: str) -> dict[str, Any] | None:
    """An entity's extra keys; None for a meaningless tag (a link without address)."""
    if opened.name == "a":
        url = opened.attributes.get("href") or text
        return {"url": url} if "." in url or "://" in url else None
    return {}


# Longer marks first: `__` is underline before `_` is italic.
_MARKS = {
    "```": "pre",
    "||": "spoiler",
    "__": "underline",
    "*": "bold",
    "_": "italic",
    "~": "strikethrough",
    "`": "code",
}
_RESERVED = frozenset("_*[]()~`>#+-=|{}.!")


@dataclass
class _OpenMark:
    mark: str
    kind: str
    offset: int
    byte: int

    def unclosed(self) -> BotApiError:
        name = "TextUrl" if self.kind == "text_link" else self.kind.capitalize()
        return _cannot(f"Can't find end of {name} entity at byte offset {self.byte}")


class _Markdown(_Parser):
    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._stack: list[_OpenMark] = []

    def run(self) -> tuple[str, list[Entity]]:
        while self._at < len(self._source):
            self._step()
        self._end_quote()
        if self._stack:
            raise self._stack[-1].unclosed()
        return "".join(self._text), self._entities

    def _step(self) -> None:
        char = self._source[self._at]
        inside = self._stack[-1] if self._stack else None
        following = self._source[self._at + 1 : self._at + 2]
        if char == "\\" and following and following.isascii() and not following.isalnum():
            self._emit(following, 2)
        elif inside is not None and inside.kind in ("code", "pre"):
            if self._source.startswith(inside.mark, self._at):
                self._close(inside)
            else:
                self._emit(char, 1)
        elif char == ">" and (self._at == 0 or self._source[self._at - 1] == "\n"):
            if any(opened.kind == "blockquote" for opened in self._stack):
                self._at += 1
            else:
                self._open(">", "blockquote")
        elif char == "[":
            self._open("[", "text_link")
        elif char == "]" and inside is not None and inside.kind == "text_link":
            self._close_link(inside)
        else:
            self._mark_or_character(char, inside)

    def _mark_or_character(self, char: str, inside: _OpenMark | None) -> None:
        mark = next((m for m in _MARKS if self._source.startswith(m, self._at)), None)
        if mark is not None:
            opened = next((o for o in reversed(self._stack) if o.mark == mark), None)
            if opened is None:
                self._open(mark, _MARKS[mark])
            elif opened is inside:
                self._close(opened)
            else:
                raise (inside or opened).unclosed()
        elif char in _RESERVED:
            raise _cannot(f"Character '{char}' is reserved and must be escaped with the preceding '\\'")
        else:
            if char == "\n" and not self._source.startswith(">", self._at + 1):
                self._end_quote()
            self._emit(char, 1)

    def _open(self, mark: str, kind: str) -> None:
        self._stack.append(_OpenMark(mark, kind, self._length, self._bytes_to(self._at)))
        self._at += len(mark)

    def _close(self, opened: _OpenMark, **extra: Any) -> None:
        self._stack.remove(opened)
        self._at += len(opened.mark)
        if opened.kind == "pre":
            extra |= self._language(opened)
        length = self._length - opened.offset
        if length > 0:
            self._entities.append({"offset": opened.offset, "length": length, "type": opened.kind, **extra})

    def _language(self, opened: _OpenMark) -> dict[str, str]:
        """A word after the opening mark names the language, not text."""
        whole = "".join(self._text)
        start = len(whole.encode("utf-16-le")[: opened.offset * 2].decode("utf-16-le"))
        word, newline, rest = whole[start:].partition("\n")
        if not newline or not word or not all(c.isalnum() or c in "+-#_" for c in word):
            return {}
        self._text = [whole[:start], rest]
        self._length = utf16_length(whole[:start] + rest)
        return {"language": word}

    def _close_link(self, opened: _OpenMark) -> None:
        self._close(opened)
        entity = self._entities.pop() if self._length > opened.offset else None
        end = self._source.find(")", self._at)
        if not self._source.startswith("(", self._at):
            raise opened.unclosed()
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
