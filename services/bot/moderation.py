"""Moderation of an order's photo and words before it is charged.

Each part is judged on its own, so that a seller can be told which one to change, and each verdict is kept
with exactly what it was given on: repeated taps ask nothing again. Without a verdict in time the order goes
through (logged, counted, not remembered): the provider judges as well, and a seller must not wait for OpenAI.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec
import structlog

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.accounts.drafts import Draft
from services.adapters.openai.errors import OpenAINoAnswerError
from services.adapters.openai.metrics import MODERATED, MODERATION_FLAGS
from services.adapters.openai.moderation import Kinds, Moderator
from services.platform.blobs import BlobError, BlobStore

query = load_queries("services.bot")

logger = structlog.get_logger()


def text_content(text: str) -> str:
    return f"text:{hashlib.sha256(text.encode()).hexdigest()}"


class Verdicts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def known(self, account: str, contents: Iterable[str]) -> dict[str, Kinds]:
        rows = await self._pool.fetch(query("verdicts"), account, list(contents))
        return {content: msgspec.convert(kinds, Kinds) for content, kinds in rows}

    async def keep(self, account: str, verdicts: Mapping[str, Kinds]) -> None:
        rows = [(account, content, list(kinds)) for content, kinds in verdicts.items()]
        if rows:
            await self._pool.executemany(query("verdict_keep"), rows)


Part = Literal["photo", "product", "wishes"]
Findings = Mapping[Part, Kinds]
"""What is wrong with each part that is not right, in the order in which they are asked for."""

Mode = Literal["off", "text", "all"]


class Moderation:
    def __init__(self, mode: Mode, judge: Moderator, verdicts: Verdicts, blobs: BlobStore) -> None:
        self._mode = mode
        self._judge = judge
        self._verdicts = verdicts
        self._blobs = blobs

    async def findings(self, draft: Draft) -> Findings:
        """What must be changed before the draft may be ordered. Within a few seconds."""
        texts = self._texts(draft)
        contents: dict[Part, str] = {"photo": draft.photo} if self._mode == "all" else {}
        contents |= {part: text_content(text) for part, text in texts.items()}
        if not contents:
            return {}
        verdicts = await self._verdicts.known(draft.account, list(contents.values()))
        new = {part: content for part, content in contents.items() if content not in verdicts}
        unread = {part: text for part, text in texts.items() if part in new}
        given: dict[Part, Kinds] = {}
        for judged in await asyncio.gather(
            self._judge_photo(draft) if "photo" in new else _nothing(),
            self._judge_texts(draft, unread) if unread else _nothing(),
        ):
            given |= judged
        self._tell(draft, given)
        await self._verdicts.keep(draft.account, {contents[part]: kinds for part, kinds in given.items()})
        verdicts |= {contents[part]: kinds for part, kinds in given.items()}
        return {part: kinds for part, content in contents.items() if (kinds := verdicts.get(content))}

    def _texts(self, draft: Draft) -> dict[Part, str]:
        if self._mode == "off":
            return {}
        texts: dict[Part, str] = {"product": draft.words.product, "wishes": draft.words.wishes}
        return {part: text for part, text in texts.items() if text}

    async def _judge_texts(self, draft: Draft, texts: Mapping[Part, str]) -> dict[Part, Kinds]:
        try:
            return dict(zip(texts, await self._judge.texts(list(texts.values())), strict=True))
        except OpenAINoAnswerError as error:
            return _skipped(draft, list(texts), error.reason)  # its words may be the seller's

    async def _judge_photo(self, draft: Draft) -> dict[Part, Kinds]:
        try:
            return {"photo": await self._judge.photo(await self._blobs.get(draft.photo))}
        except OpenAINoAnswerError as error:
            return _skipped(draft, ["photo"], error.reason)
        except (BlobError, OSError) as error:
            return _skipped(draft, ["photo"], "photo", repr(error))

    def _tell(self, draft: Draft, given: Mapping[Part, Kinds]) -> None:
        """Count and log new verdicts, never their content."""
        for part, kinds in given.items():
            MODERATED.labels(part, "flagged" if kinds else "passed").inc()
            for kind in kinds:
                MODERATION_FLAGS.labels(part, kind).inc()
            if "minors" in kinds:
                logger.error(
                    "moderation_alarm", draft=draft.draft, account=draft.account, part=part, kinds=kinds
                )
            elif kinds:
                logger.warning("moderation_flagged", draft=draft.draft, part=part, kinds=kinds)


def _skipped(draft: Draft, parts: Sequence[Part], reason: str, detail: str = "") -> dict[Part, Kinds]:
    for part in parts:
        MODERATED.labels(part, "skipped").inc()
    logger.warning("moderation_skipped", draft=draft.draft, parts=list(parts), reason=reason, detail=detail)
    return {}


async def _nothing() -> dict[Part, Kinds]:
    return {}
