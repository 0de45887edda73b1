"""Chat state: what a person's next message is waited for, beside the order in the making.

In Postgres, deleted with the person: a wipe of Redis loses nothing that somebody has typed.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import BaseStorage, StateType, StorageKey

from ledger.postgres import Pool
from ledger.sql import load_queries
from services.bot.inbox.lease import HELD

query = load_queries("services.bot")


class Awaiting(StatesGroup):
    contact = State()
    """The receipt's address."""
    promo = State()
    """A promo code, until something else comes."""


class Buying(msgspec.Struct, frozen=True):
    """The package being bought while the receipt's address is asked for."""

    payment: str
    package: str
    draft: str
    message_id: int
    """The message that will show how the payment stands."""


class ChatData(msgspec.Struct, frozen=True, omit_defaults=True):
    """New fields need defaults: it may be older than the code."""

    early: dict[str, Any] = {}
    """The message with a photo that came before the terms were accepted."""
    link: str = ""
    """What a link was for that was followed before the terms were accepted."""
    style: str = ""
    """The style that a link has chosen for the next order."""
    buying: Buying | None = None
    taken_message: int = 0
    """The message with the receipt's address or promo code; should it come again, it is no order's text."""
    panel: int = 0
    """The message with menu and cabinet: the only one of them with live buttons."""
    cut_text: int = 0
    """The message whose text was refused as the beginning of a longer one; its rest may follow."""


async def load_data(state: FSMContext) -> ChatData:
    """The chat's data; empty when there is none or it cannot be read any more."""
    try:
        return msgspec.convert(await state.get_data(), ChatData)
    except (msgspec.ValidationError, ValueError):
        return ChatData()


async def save_data(state: FSMContext, data: ChatData) -> None:
    await state.set_data(msgspec.to_builtins(data))


class PostgresStorage(BaseStorage):
    """The table `chat_states`. What is written about an erased person raises ForeignKeyViolationError."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def set_state(self, key: StorageKey, state: StateType = None) -> None:
        name = state.state if isinstance(state, State) else state
        await self._write("chat_state_set", key, name)

    async def get_state(self, key: StorageKey) -> str | None:
        found: str | None = await self._pool.fetchval(query("chat_state"), key.user_id)
        return found

    async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
        await self._write("chat_data_set", key, msgspec.json.encode(data).decode())

    async def get_data(self, key: StorageKey) -> dict[str, Any]:
        found = await self._pool.fetchval(query("chat_data"), key.user_id)
        return msgspec.json.decode(found, type=dict[str, Any]) if found else {}

    async def _write(self, name: str, key: StorageKey, value: str | None) -> None:
        """Unless another process has the chat by now: the row is the person's, whatever account is theirs."""
        if (lease := HELD.get()) and lease.lapsed:
            raise ConnectionAbortedError("another process has this chat by now")
        await self._pool.execute(query(name), key.user_id, value)

    async def close(self) -> None:
        """The pool is its owner's to close."""
