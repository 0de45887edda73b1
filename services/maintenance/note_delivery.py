"""Delivery of signed notes to others: a note that nobody else keeps proves nothing.

Each place gets the newest checkpoint, which vouches for all before it, and every restoration; at least once.
A note that is taken to be sent is not due again before its back-off is over, whoever takes it.
"""

import asyncio
import smtplib
from typing import Final

import structlog
from aiogram import Bot
from aiogram.types import BufferedInputFile

from ledger.checkpoints.checkpoint import parse
from ledger.checkpoints.signed_note import NoteError
from ledger.checkpoints.store import words_for
from ledger.postgres import Pool
from ledger.sql import load_queries
from services.adapters.object_lock import put_locked
from services.adapters.smtp import send_file
from services.adapters.telegram.send import why_not_taken
from services.maintenance.metrics import NOTES_OWED_SINCE
from services.platform.settings import Settings
from services.recovery.checkpoint_files import file_name, note_places
from services.recovery.checkpoint_files import query as recovery_query

query = load_queries("services.maintenance")

logger = structlog.get_logger()

AT_ONCE: Final = 10
_TEXT: Final = """The attached note says how the log was. Keep it where whoever runs the log cannot reach it.
With it and the log's public key: neurocards ledger verify-checkpoint FILE --public-key KEY
"""


class NoteDelivery:
    def __init__(self, settings: Settings, pool: Pool, bot: Bot) -> None:
        self._pool = pool
        self._bot = bot
        self._smtp = settings.smtp_url or ""
        self._settings = settings
        self._places = note_places(settings)

    async def run_once(self) -> int:
        """How many notes were delivered."""
        sent = sum(await asyncio.gather(*map(self._deliver, self._places)))
        NOTES_OWED_SINCE.set(await self._pool.fetchval(recovery_query("notes_owed_since"), self._places))
        return sent

    async def _deliver(self, place: str) -> int:
        sent = 0
        for row in await self._pool.fetch(query("notes_take"), place, AT_ONCE):
            error = await self._send(place, row["note"])
            await self._pool.execute(query("note_sent"), row["number"], place, error)
            sent += not error
            if error:
                logger.warning("note_not_delivered", number=row["number"], reason=error)
        return sent

    async def _send(self, place: str, note: str) -> str:
        """Send a note; why it was not taken, in words that name nobody, or nothing."""
        kind, _, to = place.partition(" ")
        try:
            statement = parse(note)
            words, name = f"{statement.origin}: {words_for(statement)}", file_name(statement)
            if kind == "chat":
                file = BufferedInputFile(note.encode(), name)
                return await why_not_taken(
                    self._bot.send_document(int(to), file, caption=words, parse_mode=None)
                )
            if kind == "bucket":
                bucket, key = self._settings.notes_bucket, self._settings.notes_bucket_key
                assert bucket and key
                return await put_locked(bucket, key.get_secret_value(), name, note.encode())
            await asyncio.to_thread(send_file, self._smtp, to, words, _TEXT, name, note.encode())
        except smtplib.SMTPResponseException as error:
            return f"{type(error).__name__}: {error.smtp_code}"
        except (OSError, NoteError) as error:
            return type(error).__name__
        return ""
