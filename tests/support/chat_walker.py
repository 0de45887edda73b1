"""Somebody who does whatever comes to mind in the chat, and what must hold after each of their steps.

They tap every button that bot or notifier ever sent, also long after its time, and forged ones; write, follow
links, edit, send photos and other things, pay, are erased and come back. Meanwhile workers end jobs, owners
pause sales and give credits, and the bot is killed and asked the same once more.
"""

import dataclasses
import html
import inspect
import random
import re
from typing import Any, Final, Literal, get_args

from aiogram import Bot
from aiogram.exceptions import TelegramBadRequest
from aiogram.filters.callback_data import CallbackData
from aiogram.methods import (
    EditMessageCaption,
    EditMessageMedia,
    EditMessageReplyMarkup,
    EditMessageText,
    SendInvoice,
    SendMessage,
    SendPhoto,
    TelegramMethod,
)

from events.job import Failure
from ledger import commands as c
from ledger.system.commands import PauseSales, ResumeSales
from services.accounts.drafts import Draft
from services.adapters.telegram import callback_data as b
from services.bot import text_intent
from services.bot.handlers.card import show_balance
from services.bot.inputs import tidy
from services.bot.screens.menu import commands
from services.generation.prompts.styles import load_styles
from services.platform.ids import new_id
from tests.support.chat_worlds import ME, OPERATOR, OTHER_CONTENT, TEXTS, CountedLedger, World, make
from tests.unit.services.bot.handlers.test_all import CHAT, USER
from tests.unit.services.bot.handlers.test_card import Person, data_of

GARBAGE: Final = (
    "", "card", "card|", "card|view||x|1", "order:", "order:x:y", "menu:none", "cab:spent:-1", "я" * 30,
    "x" * 64,
)  # fmt: skip
OTHERS: Final = tuple(
    data.pack()
    for data in (
        b.Order(draft="d6", version=1), b.CardButton(do="cancel", value="", draft="d6", version=1),
        b.CardButton(do="style", value="gift", draft="d6", version=1), b.BackToOrder(draft="d6"),
        b.Again(draft="o6"), b.Repair(draft="o6", part="photo"), b.Rate(job="j6", stars=5),
        b.TopUp(draft="d6"), b.TellMe(draft="d6"),
    )
)  # fmt: skip
"""Of somebody else."""
KINDS: Final = tuple(
    kind for _, kind in inspect.getmembers(b, inspect.isclass)
    if issubclass(kind, CallbackData) and hasattr(kind, "__prefix__")
)  # fmt: skip
ONWARD: Final = (
    "terms:", "order:", "card|view|styles", "card|look", "card|style", "rate:", "repair:", "again:", "payby:",
)  # fmt: skip
PARTS: Final[tuple[Literal["photo", "product"], ...]] = ("photo", "product")
_NUMBERS: Final = (0, 1, 2, 3, 5, 10, -1, 2**31, 2**63)
_TAG: Final = re.compile(r"<(/?)([a-z]+)[^>]*>")
EDITS: Final = (EditMessageCaption, EditMessageText, EditMessageReplyMarkup, EditMessageMedia)


class Walker(Person):
    """What hangs in their chat is remembered, as Telegram has it."""

    def __init__(self, world: World, dice: random.Random) -> None:
        self.world, self.dice = world, dice
        self.ledger = CountedLedger(world.shop.ledger, dice)
        ledger: Any = self.ledger
        checkout = world.shop.checkout
        checkout.orders.ledger = ledger
        super().__init__(dataclasses.replace(world.shop, ledger=ledger))
        self.storage = world.storage  # type: ignore[assignment]
        self.restart()
        self.keys: dict[int, list[str]] = {}
        self.kinds: dict[int, str] = {}
        self.hung: set[int] = set()
        self.seen: list[tuple[int, str]] = []
        self.told: list[str] = []
        self.wrote, self.wrote_last, self.was_cut = "", "", False
        self.ended = "", True
        """The last that was said, and whether it leads on: by a button or a command."""
        self.touched: list[int] = []
        self.texts: dict[int, dict[str, Any]] = {}
        self.replies: dict[int, int] = {}
        self.typed: set[str] = {""}
        self.invoices: list[SendInvoice] = []
        self.drafted_ids: dict[str, Draft] = {}
        self.notified: set[str] = set()
        self.last: dict[str, Any] = {}
        self.forgery: dict[str, Any] | None = None
        """The last event with forged data; it may come again."""
        self._request = self.session.make_request
        self.session.make_request = self._answer  # type: ignore[method-assign]
        checkout.stars.bot = self.bot

    async def _answer(self, bot: Bot, method: TelegramMethod[Any], timeout: int | None = None) -> Any:
        """As Telegram answers: what it does not have is not edited, what is no HTML is refused."""
        if isinstance(method, EDITS):
            kind = self.kinds.get(int(method.message_id or 0))
            wants = {EditMessageText: "text", EditMessageReplyMarkup: kind}.get(type(method), "photo")
            if kind is None or kind != wants:
                lacks = "text" if wants == "text" else "caption"
                gone = f"there is no {lacks} in the message to edit" if kind else "message to edit not found"
                raise TelegramBadRequest(method=method, message=f"Bad Request: {gone}")
        text = str(getattr(method, "text", None) or getattr(method, "caption", None) or "")
        markup = getattr(method, "reply_markup", None)
        assert all(len(data.encode()) <= 64 for data in _keys(markup)), markup
        assert _is_html(text), text
        shown = len(html.unescape(_TAG.sub("", text)).encode("utf-16-le")) // 2
        assert shown <= (1024 if getattr(method, "caption", None) else 4096), shown
        sent = await self._request(bot, method, timeout)
        if isinstance(method, SendMessage | SendPhoto | SendInvoice):
            assert int(method.chat_id) == ME, "nobody else is written to"
            assert not isinstance(method, SendMessage) or text
            message = sent.message_id
            self.kinds[message] = "photo" if isinstance(method, SendPhoto) else "text"
            self.keys[message] = _keys(markup)
            if isinstance(method, SendInvoice):
                self.kinds[message] = "invoice"
                self.invoices.append(method)
            if quoted := getattr(method, "reply_parameters", None):
                self.replies[message] = quoted.message_id
        elif isinstance(method, EDITS):
            message = int(method.message_id or 0)
            assert int(method.chat_id or 0) == ME, "nobody else's message is edited"
            self.keys[message] = _keys(markup)
            self.touched.append(message)
        self.told.append(text)
        others = text.startswith(("⏳", "🛠", "✖️"))  # the notifier goes on, or an operator
        if isinstance(method, SendMessage | EditMessageText) and not others:
            message = int(method.message_id or 0) if isinstance(method, EditMessageText) else sent.message_id
            self.ended = text, bool(self.keys.get(message)) or "/" in text
        return sent

    # What they do.

    async def feed(self, **event: Any) -> None:
        self.last = event
        await self._feed(event)

    async def _feed(self, event: dict[str, Any], *, again: bool = False) -> None:
        if not again:
            await self.world.store(self._update_id + 1)
        before = await self.shop.people.of_telegram(ME)
        try:
            await super().feed(**event)
        finally:
            now = await self.shop.people.of_telegram(ME)
            if before is not None and (now is None or now.account != before.account):
                await self._was_erased(before.account)
        await self.world.handled(self._update_id)

    async def once_more(self) -> None:
        self._update_id -= 1
        self.restart()
        await self._feed(self.last, again=True)

    async def say(self, text: str, chat: dict[str, Any] = CHAT) -> None:
        self.typed.add(tidy(text))
        self.was_cut, self.wrote = len(self.wrote_last) > 4000, text
        self.wrote_last = text
        number = 10 + self._update_id
        self.texts[number] = {"message_id": number, "date": 1, "chat": CHAT, "from": USER, "text": text}
        await super().say(text, chat)

    async def press_on(self, message: int, data: str) -> None:
        shown: dict[str, Any] = {"message_id": message, "date": 1, "chat": CHAT, "text": "x"}
        if said := self.texts.get(self.replies.get(message, 0)):
            shown["reply_to_message"] = said
        match self.dice.random():
            case chance if chance < 0.02:
                await self.tap(data, message=None)
            case chance if chance < 0.04:
                await self.tap(data, message={"message_id": message, "date": 0, "chat": CHAT})
            case _:
                await self.tap(data, message=shown)

    def forged(self) -> str:
        """Data that no button of theirs had: somebody else's, of another time, or nonsense."""
        if (chance := self.dice.random()) < 0.6:
            return self.dice.choice(GARBAGE if chance < 0.2 else OTHERS)
        kind = self.dice.choice(KINDS)
        values: dict[str, Any] = {}
        for name, field in kind.model_fields.items():
            holds: Any = field.annotation
            choices = list(get_args(holds))
            if holds is int:
                choices = list(_NUMBERS)
            elif holds is bool:
                choices = [True, False]
            elif holds is b.MenuAction:
                choices = list(b.MenuAction)
            elif name == "draft":
                choices = ["", "d6", "o6", "x" * 24, *self.drafted_ids]
            elif name == "job":
                choices = ["", "j6", "x" * 24, *(job for o in self.ledger.orders for job in o.jobs)]
            elif not choices:
                choices = ["", "x", "en", "ru", "stars", "yookassa", "credits-5", "gift", "9:16", "5", "yes"]
            values[name] = self.dice.choice(choices)
        try:
            return kind(**values).pack()
        except ValueError:  # too long for Telegram, or its separator in a value
            return self.dice.choice(GARBAGE)

    def button(self, draft: Draft | None) -> tuple[int, str]:
        """Choose a message and a button of it, more often one that still hangs there and leads on."""
        message, data = self.dice.choice(self.seen)
        if (live := [m for m, keys in self.keys.items() if keys]) and self.dice.random() < 0.8:
            card = draft.message_id if draft and draft.message_id in live else None
            told = [m for m in live if m in self.hung][-2:]
            likely = [card] if card else told
            message = self.dice.choice(likely if likely and self.dice.random() < 0.6 else live[-6:])
            keys = [key for key in self.keys[message] if not key.startswith(("menu:", "card|cancel"))]
            onward = [key for key in keys if key.startswith(ONWARD)]
            data = self.dice.choice(keys if keys and self.dice.random() < 0.7 else self.keys[message])
            data = self.dice.choice(onward) if onward and self.dice.random() < 0.6 else data
        return message, data

    async def step(self) -> tuple[str, bool]:
        """Do something; what, and whether it may order what is being made."""
        person = await self.shop.people.of_telegram(ME)
        draft = await self.shop.drafts.open(person.account) if person else None
        acts = {"tap": 55, "text": 18, "photo": 9, "edit": 3, "again": 6, "restart": 3, "forged": 5,
                "other": 2, "work": 6, "remind": 2, "pay": 4, "sales": 1, "grant": 2,
                "erase": 1, "clear": 1}  # fmt: skip
        act = self.dice.choices([*acts], [*acts.values()])[0]
        if what := await self.happens(act, person.account if person else "", draft):
            return what, False
        match act:
            case "tap" if self.seen:
                message, data = self.button(draft)
                current = draft is not None and data == f"order:{draft.draft}:{draft.version}"
                await self.press_on(message, data)
                return data, current
            case "forged":
                data = self.forged()
                current = draft is not None and data == f"order:{draft.draft}:{draft.version}"
                card = draft.message_id if draft else None
                on = self.dice.choice([m for m in (*self.kinds, 3) if m != card])
                try:
                    await self.press_on(on, data)
                finally:
                    self.forgery = self.last
                return f"forged {data}", current
            case "photo":
                caption = self.dice.choice(("", "a vase", "a vase", "ваза", "x" * 1024, "цена?"))
                album = {"media_group_id": "m"} if self.dice.random() < 0.3 else {}
                self.typed.add(caption)
                await self.photo(10 + self._update_id, caption=caption, **album)
                return "photo", False
            case "edit":
                words = self.dice.choice(("other words", "", "z" * 1600))
                self.typed.add(words)
                await self.edit(self.dice.randrange(10, 11 + self._update_id), words)
                return f"edit {words[:9]}", False
            case "other":
                other = {"message_id": 10 + self._update_id, "date": 1, "chat": CHAT, "from": USER}
                await self.feed(message=other | self.dice.choice(OTHER_CONTENT))
                return "other content", False
            case "again" if self.last:
                await self.once_more()
                return "again", True
            case "pay" if self.invoices:
                await self.pay(self.dice.choice(self.invoices))
                return "pay", False
        text = self.dice.choice((*TEXTS, *(f"/{command.command}" for command in self.commands)))
        agreed = isinstance(text_intent.intent_of(text, load_styles()), text_intent.Agreed)
        await self.say(text)
        return text[:40], agreed

    async def happens(self, act: str, account: str, draft: Draft | None) -> str:
        """What others do, if the act is one of theirs."""
        match act:
            case "restart":
                self.restart()
                return "restart"
            case "work":
                await self.work()
                return "work"
            case "remind":
                self.remind(draft)
                return "remind"
            case "sales":
                change: Any = self.dice.choice((PauseSales, ResumeSales, ResumeSales))
                await self.world.shop.ledger.execute(change(OPERATOR, "tests"), key=new_id())
                return str(change.__name__)
            case "grant" if account and (await self.shop.ledger.read.account(account)).terms:
                grant = c.GrantCredits(account, 7, "manual", "test", actor=OPERATOR)
                await self.world.shop.ledger.execute(grant, key=new_id())
                await show_balance(self.bot, self.shop, ME)  # told by the notifier
                return "grant"
            case "erase" if account and self._update_id > 20 and self.kinds and self.dice.random() < 0.5:
                now_s = int(self.world.shop.ledger.now_us() // 1_000_000)
                await self.press_on([*self.kinds][-1], b.MyData(do="erase", at=now_s).pack())
                return "data erase"
            case "erase" if account and self._update_id > 20:
                await self.erase(account)
                return "erase"
            case "clear":
                self.kinds.clear()
                self.keys.clear()
                return "clear"
        return ""

    @property
    def commands(self) -> list[Any]:
        with self.shop.texts.context(), self.shop.texts.use_locale("en"):
            return commands(invites=True)

    async def erase(self, account: str) -> None:
        before = len(self.session.calls)
        await self.world.erase(account)
        assert len(self.session.calls) == before, "nobody writes to somebody who was erased"
        await self._was_erased(account)
        assert await self.shop.people.of_telegram(ME) is None

    async def _was_erased(self, account: str) -> None:
        """By an operator, or by their own taps."""
        self.ledger.erased.add(account)
        for name in self.drafted_ids:
            found = await self.shop.drafts.find(name)
            assert found is None or found.account != account, "an erased person's draft"
        self.drafted_ids.clear()

    async def work(self) -> None:
        """A worker ends an order's jobs, and the notifier shows it and tells what failed."""
        over = {*self.notified, *(o.order for o in self.ledger.orders if o.account in self.ledger.erased)}
        for order in [o for o in self.ledger.orders if o.order not in over][:1]:
            draft = await self.shop.drafts.find(order.order)
            if draft is None or not draft.ordered:
                continue
            ledger, failed = self.world.shop.ledger, self.dice.random() < 0.5
            for job in order.jobs:
                if (await ledger.read.job(job)).outcome:
                    continue
                if failed:
                    await ledger.execute(c.StartJob(job, 1, "w"), key=f"1{job}")
                    failure = Failure("bad_image", "provider")
                    failing = c.FailJob(job, order.account, "worker", failure, run=1)
                    await ledger.execute(failing, key=f"2{job}")
                    self.hang(*(b.Repair(draft=order.order, part=part) for part in PARTS))
                    self.hang(b.Repair(draft=order.order, part=""), b.TellMe(draft=order.order))
                else:
                    await make(ledger, job)
            self.notified.add(order.order)
            if draft.message_id in self.kinds:
                again = [b.Again(draft=order.order, view=view) for view in get_args(b.AgainView)]
                rate = [b.Rate(job=job, stars=stars) for job in order.jobs for stars in (1, 5)]
                self.hung.add(draft.message_id or 0)
                self.keys[draft.message_id or 0] = [data.pack() for data in (*rate, *again)]
            self.look()

    def hang(self, *data: CallbackData) -> None:
        """A message of the notifier."""
        message = next(self.session._ids)
        self.hung.add(message)
        self.kinds[message], self.keys[message] = "text", [one.pack() for one in data]

    def remind(self, draft: Draft | None) -> None:
        name = draft.draft if draft else ""
        back: CallbackData = b.BackToOrder(draft=name) if name else b.Menu(action=b.MenuAction.CREATE)
        self.hang(back, b.Reminders(on=self.dice.random() < 0.3), b.TopUp(draft=name))
        self.look()

    async def pay(self, invoice: SendInvoice) -> None:
        amount, payload = invoice.prices[0].amount, invoice.payload
        paid = {"currency": "XTR", "total_amount": amount, "invoice_payload": payload}
        await self.feed(pre_checkout_query={"id": "q", "from": USER} | paid)
        told = paid | {"telegram_payment_charge_id": f"c{self._update_id}", "provider_payment_charge_id": ""}
        message = {"message_id": 10 + self._update_id, "date": 1, "chat": CHAT, "from": USER}
        await self.feed(message=message | {"successful_payment": told})

    def look(self) -> None:
        hanging = [(message, data) for message, datas in self.keys.items() for data in datas]
        self.seen = [*dict.fromkeys((*self.seen, *hanging))]


def _keys(markup: Any) -> list[str]:
    """What its buttons say when tapped; not those that are links."""
    return [data for data in data_of(markup) if data]


def _is_html(text: str) -> bool:
    opened: list[str] = []
    for closing, name in _TAG.findall(text):
        if not closing:
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    return not opened
