"""`parse_mode=HTML`: the tags Telegram knows, and its own sentences for what it does not understand."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import Any

from services.sandbox.telegram.errors import BotApiError
from services.sandbox.telegram.markdown import Entity, utf16_length

_TYPES = {
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
    "tg-emoji": "custom_emoji",
}
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(lt|gt|amp|quot));?")
_TAG_NAME = re.compile(r"[^\s>/]*")
_ATTRIBUTE = re.compile(r"""\s*([^\s=>/]+)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>"']+))?""")
_CLASS_LANGUAGE = "language-"


@dataclass
class _Open:
    tag: str
    attributes: dict[str, str]
    offset: int
    pieces: int


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Plain text and entities. Raises BotApiError 400 `can't parse entities: ...`; offsets in bytes."""
    return _Parser(source).run()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._text: list[str] = []
        self._length = 0
        self._stack: list[_Open] = []
        self._entities: list[Entity] = []

    def run(self) -> tuple[str, list[Entity]]:
        while self._at < len(self._source):
            char = self._source[self._at]
            if char == "<":
                self._tag()
            elif char == "&":
                self._reference()
            else:
                end = min((i for c in "<&" if (i := self._source.find(c, self._at)) != -1), default=None)
                self._emit(self._source[self._at : end])
                self._at = len(self._source) if end is None else end
        if self._stack:
            raise _cannot(f'Can\'t find end tag corresponding to start tag "{self._stack[-1].tag}"')
        for entity in self._entities:
            entity.pop("_language", None)
        return "".join(self._text), self._entities

    def _emit(self, piece: str) -> None:
        self._text.append(piece)
        self._length += utf16_length(piece)

    def _reference(self) -> None:
        match = _REFERENCE.match(self._source, self._at)
        if match is None:
            self._emit("&")
            self._at += 1
            return
        decimal, hexadecimal, name = match.groups()
        self._emit(_NAMED[name] if name else html.unescape(f"&#{decimal or 'x' + hexadecimal};"))
        self._at = match.end()

    def _tag(self) -> None:
        begin = self._at
        if self._source.startswith("</", begin):
            self._end_tag(begin)
            return
        name_match = _TAG_NAME.match(self._source, begin + 1)
        name = name_match.group().lower() if name_match else ""
        if name not in _TYPES:
            if self._source.find(">", begin) == -1:
                raise self._cannot_at("Unclosed start tag", begin)
            raise self._cannot_at(f'Unsupported start tag "{name}"', begin)
        self._at = begin + 1 + len(name)
        attributes = self._attributes(begin)
        if name == "span" and attributes.get("class") != "tg-spoiler":
            raise self._cannot_at('Tag "span" must have class "tg-spoiler"', begin)
        self._stack.append(_Open(name, attributes, self._length, len(self._text)))

    def _attributes(self, begin: int) -> dict[str, str]:
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
                raise self._cannot_at(f'Empty attribute name in the tag "{self._name_at(begin)}"', self._at)
            attributes[match.group(1).lower()] = html.unescape((match.group(2) or "").strip("\"'"))
            self._at = match.end()

    def _name_at(self, begin: int) -> str:
        match = _TAG_NAME.match(self._source, begin + 1)
        return match.group().lower() if match else ""

    def _end_tag(self, begin: int) -> None:
        end = self._source.find(">", begin)
        if not self._stack:
            raise self._cannot_at("Unexpected end tag", begin)
        if end == -1:
            raise self._cannot_at("Unclosed end tag", begin)
        name = self._source[begin + 2 : end].strip().lower()
        opened = self._stack.pop()
        if name not in ("", opened.tag):
            raise self._cannot_at(
                f'Unmatched end tag at byte offset {self._bytes_to(begin)}, expected "</{opened.tag}>", '
                f'found "</{name}>"',
                None,
            )
        self._at = end + 1
        length = self._length - opened.offset
        if length > 0:
            self._close(opened, length)

    def _close(self, opened: _Open, length: int) -> None:
        extra = _extra(opened, "".join(self._text[opened.pieces :]))
        if extra is None:
            return
        if opened.tag == "pre" and self._entities and self._entities[-1].get("_language"):
            inner = self._entities[-1]
            if inner["offset"] == opened.offset and inner["length"] == length:
                extra["language"] = self._entities.pop()["_language"]
        entity = {"offset": opened.offset, "length": length, "type": _TYPES[opened.tag], **extra}
        if opened.tag == "code" and opened.attributes.get("class", "").startswith(_CLASS_LANGUAGE):
            inside_pre = bool(self._stack) and self._stack[-1].tag == "pre"
            if inside_pre:
                entity["_language"] = opened.attributes["class"].removeprefix(_CLASS_LANGUAGE)
        if opened.tag == "blockquote" and "expandable" in opened.attributes:
            entity["type"] = "expandable_blockquote"
        self._entities.append(entity)

    def _bytes_to(self, index: int) -> int:
        return len(self._source[:index].encode())

    def _cannot_at(self, complaint: str, index: int | None) -> BotApiError:
        return _cannot(complaint if index is None else f"{complaint} at byte offset {self._bytes_to(index)}")


def _extra(opened: _Open, text: str) -> dict[str, Any] | None:
    """What an entity carries besides its place; None when the tag means nothing (a link without address)."""
    if opened.tag == "a":
        url = opened.attributes.get("href") or text
        return {"url": url} if "." in url or "://" in url else None
    if opened.tag == "tg-emoji":
        return {"custom_emoji_id": opened.attributes.get("emoji-id", "")}
    return {}


def _cannot(complaint: str) -> BotApiError:
    return BotApiError(400, f"Bad Request: can't parse entities: {complaint}")
