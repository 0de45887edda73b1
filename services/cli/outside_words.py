"""Sentences of companies, joined to the failures that commands show.

They may name a person, so `neurocards_reader` may not read them: they are looked up with the application's
rights, at DATABASE_URL, and who did is noted (`ledger reads`). Where one is gone, or the login has no such
right, class and code say it (docs/decisions/outside-words.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.cli.connections import run, typed_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.platform.settings import Settings


def words_of(refs: Iterable[str]) -> dict[str, str]:
    """What may be read and is still there: the sentence, and on the next line the answer's beginning."""
    wanted = [ref for ref in dict.fromkeys(refs) if ref]
    return run("words", lambda settings: _read(settings, wanted)) if wanted else {}


def with_words(rows: list[dict[str, Any]], ref: str = "failure_ref") -> list[dict[str, Any]]:
    """The rows, each with the `words` that its column `ref` names; empty: none."""
    words = words_of(row[ref] for row in rows)
    return [row | {"words": words.get(row[ref], "")} for row in rows]


def sentence(words: str, chars_max: int = 80) -> str:
    return words.partition("\n")[0][:chars_max]


async def _read(settings: Settings, refs: list[str]) -> dict[str, str]:
    from asyncpg import InsufficientPrivilegeError

    from ledger.sql import load_queries
    from services.platform.database import connect
    from services.platform.errors import StartError

    if settings.database_url is None:
        return {}
    try:
        connection = await connect(settings, "words", writes=False)
    except StartError:
        return {}
    try:
        sql = load_queries("services.cli.commands")("outside_words")
        rows = await connection.fetch(sql, refs, typed_command(), settings.read_reason)
        return {ref: words for ref, words in rows}
    except InsufficientPrivilegeError:
        return {}
    finally:
        await connection.close()
