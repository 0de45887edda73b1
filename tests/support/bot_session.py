"""A Bot whose calls are recorded and answered here; and a shop that keeps everything in memory."""

import itertools
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.methods import GetFile, GetMe, SendInvoice, SendMessage, SendPhoto, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import Chat, File, Message, User

from events.stream_names import SALES_STREAM, promo_stream
from ledger.accounts.state import AccountState
from ledger.commands import Command
from ledger.decider import State, decide, evolve, initial, streams_read
from ledger.errors import KeyReusedError
from ledger.jobs.state import JobState
from ledger.log.batch import Receipt
from ledger.payments.state import PaymentState
from ledger.promotions.promo_codes import PromoState
from ledger.system.decider import SystemState
from services.accounts.personal_data import Account, Brief
from services.adapters.openai.moderation import Kinds, Moderator
from services.adapters.telegram.client import create_bot
from services.bot.context import BotContext
from services.bot.main import bot_texts
from services.bot.moderation import Moderation, Verdicts
from services.generation.catalogue import load_catalogue
from services.platform.blobs import BlobError, StoredBlob
from services.platform.settings import load_settings
from tests.support.bot_checkout import memory_till
from tests.support.memory_drafts import MemoryDrafts

TEXTS = bot_texts()


class RecordedSession(BaseSession):
    """Remembers calls; `answers` are taken in turn, an exception among them is raised, else `True`."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[TelegramMethod[Any]] = []
        self.answers: deque[Any] = deque()
        self.done: list[tuple[TelegramMethod[Any], Any]] = []
        """The calls that went through, with their results."""
        self.chunks: list[bytes] = []
        self._ids = itertools.count(1000)

    async def make_request(
        self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None
    ) -> TelegramType:
        self.calls.append(method)
        answer = self.answers.popleft() if self.answers else True
        if isinstance(answer, Exception):
            raise answer
        if answer is True and isinstance(method, SendMessage | SendInvoice | SendPhoto):
            chat = Chat(id=int(method.chat_id), type="private")
            answer = Message.model_construct(
                message_id=next(self._ids), date=0, chat=chat, text=getattr(method, "text", "")
            )
        elif answer is True and isinstance(method, GetFile):
            answer = File(file_id=method.file_id, file_unique_id="u", file_path="photos/p.jpg")
        elif answer is True and isinstance(method, GetMe):
            answer = User(id=1, is_bot=True, first_name="bot", username="bot")
        self.done.append((method, answer))
        return cast(TelegramType, answer)

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,
        chunk_size: int = 65536,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        for chunk in self.chunks:
            yield chunk

    async def close(self) -> None:
        pass

    def of(self, kind: type[TelegramMethod[Any]]) -> list[Any]:
        """The recorded calls of one method."""
        return [call for call in self.calls if isinstance(call, kind)]


def recorded_bot(**options: Any) -> tuple[Bot, RecordedSession]:
    session = RecordedSession()
    return create_bot(load_settings(), session=session, **options), session


class MemoryLedger:
    """The real deciders over dictionaries."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.placed: list[Command] = []
        self.keys: dict[str, Receipt] = {}
        self.bodies: dict[str, Command] = {}
        self.read = SimpleNamespace(
            account=self._account,
            job=self._job,
            payment=self._payment,
            promo=self._promo,
            sales=self._sales,
            stream=self._stream,
        )

    async def execute(self, command: Command, *, key: str) -> Receipt:
        if key in self.keys:
            if self.bodies[key] != command:
                raise KeyReusedError(key)
            return self.keys[key]
        view = {stream: self.states.get(stream, initial(stream)) for stream in streams_read(command)}
        made = decide(view, command, 1_000_000)
        for stream, event in made:
            self.states[stream] = evolve(self.states.get(stream, initial(stream)), event)
        self.bodies[key] = command
        self.keys[key] = Receipt(1, len(made), 1_000_000)
        self.placed.append(command)
        return self.keys[key]

    async def _account(self, account: str) -> AccountState:
        return cast(AccountState, self.states.get(f"account-{account}", AccountState()))

    async def _sales(self) -> SystemState:
        return cast(SystemState, self.states.get(SALES_STREAM, SystemState()))

    async def _stream(self, stream: str) -> list[Any]:
        return []

    def now_us(self) -> int:
        return 1_000_000

    async def _job(self, job: str) -> JobState:
        return cast(JobState, self.states.get(f"job-{job}", JobState()))

    async def _payment(self, payment: str) -> PaymentState:
        return cast(PaymentState, self.states.get(f"payment-{payment}", PaymentState()))

    async def _promo(self, code: str) -> PromoState:
        return cast(PromoState, self.states.get(promo_stream(code), PromoState()))


class MemoryPeople:
    """People without a database."""

    def __init__(self) -> None:
        self.locales: dict[int, str] = {}
        self.reminders: dict[str, bool] = {}
        self.texts: dict[str, Brief] = {}
        self.forgotten: dict[bytes, int] = {}
        self.owned: set[str] = {"photos/p.jpg"}
        self.wrong = 0
        self.reads: list[str] = []
        self.erasures: Counter[int] = Counter()
        self.updates: set[int] | None = None
        """Updates that wait in the inbox; None: nobody asks."""

    def erase(self, telegram_id: int) -> None:
        """Whoever comes back gets another account, and earlier updates are nobody's."""
        self.erasures[telegram_id] += 1
        del self.locales[telegram_id]
        self.updates = set()

    def _account(self, telegram_id: int) -> Account:
        name = f"a{telegram_id}" + "x" * self.erasures[telegram_id]
        return Account(name, telegram_id, self.locales[telegram_id], "0" * 64)

    async def remembered(self, names: Sequence[bytes]) -> int | None:
        return next((self.forgotten[name] for name in names if name in self.forgotten), None)

    async def account_of(self, telegram_id: int, locale: str) -> Account:
        self.locales.setdefault(telegram_id, locale)
        return self._account(telegram_id)

    async def sender(self, telegram_id: int, locale: str, update_id: int) -> Account | None:
        if self.updates is not None and update_id not in self.updates:
            return await self.of_telegram(telegram_id)
        return await self.account_of(telegram_id, locale)

    async def find(self, account: str) -> Account | None:
        found = await self.of_telegram(int(account[1:].rstrip("x")))
        return found if found is not None and found.account == account else None

    async def own_photo(self, blob: str, account: str, size_bytes: int, bytes_per_day: int) -> bool:
        self.owned.add(blob)
        return size_bytes <= bytes_per_day

    async def use_blob(self, blob: str) -> bool:
        return blob in self.owned

    async def of_telegram(self, telegram_id: int) -> Account | None:
        return self._account(telegram_id) if telegram_id in self.locales else None

    async def invite_code(self, account: str) -> str:
        return f"{account:0>8}"

    async def inviter(self, code: str) -> str | None:
        return next((f"a{person}" for person in self.locales if f"a{person}".zfill(8) == code), None)

    async def set_locale(self, account: str, locale: str) -> None:
        self.locales[int(account[1:].rstrip("x"))] = locale

    async def wants_reminders(self, account: str) -> bool:
        return self.reminders.get(account, True)

    async def set_reminders(self, account: str, *, on: bool) -> None:
        self.reminders[account] = on

    async def keep_text(self, account: str, body: Brief, ref: str) -> str:
        self.texts.setdefault(ref, body)
        return ref

    async def wrong_codes(self, account: str) -> int:
        return self.wrong

    async def note_wrong_code(self, account: str) -> None:
        self.wrong += 1

    async def unfinished_jobs(self, account: str) -> int:
        return 0

    async def reads_today(self, account: str, what: str) -> int:
        return self.reads.count(account)

    async def note_read(self, account: str, what: str, *, actor: str = "", reason: str = "") -> None:
        self.reads.append(account)

    async def export(self, account: str, rows_max: int) -> tuple[dict[str, list[Any]], list[str]]:
        return {}, []

    async def brief(self, ref: str) -> Brief | None:
        return self.texts.get(ref)


class MemoryForgetting:
    """Remembers who asked, and erases nobody."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def forget(self, account: str, *, actor: str, reason: str) -> None:
        self.asked.append((account, actor))


class EmptyHistory:
    """Nothing was ever done."""

    async def operations(self, account: str, page: int = 0, size: int = 6) -> tuple[list[Any], int]:
        return [], 0

    payments = operations

    async def friends(self, account: str) -> tuple[int, int]:
        return 0, 0

    async def film(self, account: str, position: int) -> None:
        return None

    async def spent(self, account: str, position: int) -> None:
        return None

    async def jobs(self, account: str) -> list[Any]:
        return []

    job_names = jobs

    async def welcomes_since(self, day: int) -> int:
        return 0


class MemoryBlobs:
    """Blobs in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, key: str, chunks: AsyncIterator[bytes], *, size_bytes_max: int) -> StoredBlob:
        self.kept[key] = b"".join([chunk async for chunk in chunks])
        return StoredBlob(key, "", len(self.kept[key]))

    async def get(self, key: str) -> bytes:
        if key not in self.kept:
            raise BlobError(key)
        return self.kept[key]

    async def size_bytes(self, key: str) -> int | None:
        return len(self.kept[key]) if key in self.kept else None


class MemoryJudge(Moderator):
    """Flags what a test says is bad; `failure` is raised instead of any verdict."""

    def __init__(self) -> None:
        self.bad: dict[str | bytes, Kinds] = {}
        self.failure: Exception | None = None
        self.asked: list[str | bytes] = []

    async def texts(self, texts: Sequence[str]) -> list[Kinds]:
        return [self._judged(text) for text in texts]

    async def photo(self, photo: bytes) -> Kinds:
        return self._judged(photo)

    def _judged(self, content: str | bytes) -> Kinds:
        self.asked.append(content)
        if self.failure is not None:
            raise self.failure
        return self.bad.get(content, ())


class MemoryVerdicts(Verdicts):
    """Verdicts in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Kinds] = {}

    async def known(self, account: str, contents: Iterable[str]) -> dict[str, Kinds]:
        return {name: self.kept[account, name] for name in contents if (account, name) in self.kept}

    async def keep(self, account: str, verdicts: Mapping[str, Kinds]) -> None:
        self.kept |= {(account, content): kinds for content, kinds in verdicts.items()}


def memory_shop(**settings: Any) -> BotContext:
    people: Any = MemoryPeople()
    drafts: Any = MemoryDrafts()
    ledger: Any = MemoryLedger()
    blobs: Any = MemoryBlobs()
    history: Any = EmptyHistory()
    read = load_settings(**settings)
    moderation = Moderation(read.moderation, MemoryJudge(), MemoryVerdicts(), blobs)
    return BotContext(
        read,
        people,
        drafts,
        ledger,
        blobs,
        history,
        load_catalogue(),
        TEXTS,
        moderation,
        memory_till(read, ledger, recorded_bot()[0]),
        cast(Any, MemoryForgetting()),
    )
