"""What must hold after each step of somebody who walks through the chat, and that they always get out."""

import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from aiogram.exceptions import TelegramNetworkError
from aiogram.methods import SendMessage
from msgspec.structs import replace

from ledger import commands as c
from ledger.errors import LedgerUnavailableError
from ledger.promotions.commands import CreatePromo
from ledger.system.commands import ResumeSales
from services.accounts.drafts import Draft
from services.accounts.personal_data import Brief
from services.adapters.telegram import callback_data as b
from services.bot import text_intent
from services.bot.context import TERMS_VERSION
from services.bot.handlers.order import accepted_text
from services.bot.screens.card import missing
from services.generation.prompts.styles import load_styles
from services.platform.ids import new_id
from tests.support.chat_walker import Walker
from tests.support.chat_worlds import ME, OPERATOR, OTHER, World, make, memory_world

_BALANCE: Final = re.compile(r"balance: (?:<b>)?(-?\d+)|баланс: (?:<b>)?(-?\d+)", re.IGNORECASE)
PROMOS: Final = {"WALK": 3, "GIFT": 2}
STEPS: Final = 40


async def _others(world: World) -> Callable[..., Awaitable[list[object]]]:
    """Somebody else with a placed order and one in the making; how they stand."""
    shop, ledger = world.shop, world.shop.ledger
    other = await shop.people.account_of(OTHER, "ru")
    await ledger.execute(c.OpenAccount(other.account, other.person), key="open6")
    await ledger.execute(c.AcceptTerms(other.account, TERMS_VERSION, 5), key="terms6")
    await shop.people.own_photo("photos/o.jpg", other.account, 9, 99)
    made = Draft("o6", other.account, OTHER, "photos/o.jpg", "b6", Brief("vase"), style="ugc", price=1)
    made = replace(made, model=shop.model.slug)
    for name, job in (("o6", "j6"), ("d6", "")):
        draft = await shop.drafts.make(replace(made, draft=name, brief=f"b{name}"))
        assert draft is not None
        await shop.drafts.sent(draft, 7, "f")
        if job:
            await shop.drafts.confirm(replace(draft, shown=1), [job], 1)
            asked = other.account, name, (job,), 1, made.model, "ugc", made.photo, "b6", "ru", 900
            order = c.OrderVideos(*asked)
            await ledger.execute(order, key=f"order:{name}")
            await shop.drafts.mark_ordered(name)
            await make(ledger, job)

    async def stand(done: Iterable[object] = ()) -> list[object]:
        given = sum(x.amount for x in done if isinstance(x, c.GrantCredits) and x.account == other.account)
        drafts = [await shop.drafts.find(name) for name in ("o6", "d6")]
        people = await shop.people.find(other.account), await shop.people.wants_reminders(other.account)
        balance = (await ledger.read.account(other.account)).balance
        return [*drafts, *people, await ledger.read.job("j6"), balance - given]

    return stand


async def walk(world: World, dice: random.Random, told: str) -> Counter[str]:
    """Walk; what was done how often. Raises AssertionError with `told`, the step and what was done."""
    ledger = world.shop.ledger
    stand = await _others(world)
    other = await world.shop.people.account_of(OTHER, "ru")
    for code, amount in PROMOS.items():
        promo = CreatePromo(code, amount, 100, None, None, OPERATOR, "walk")
        await ledger.execute(promo, key=f"promo:{code}")
    walker, did = Walker(world, dice), Counter[str]()
    others = await stand()
    invited = f"/start ref_{await world.shop.people.invite_code(other.account)}"
    await walker.say(dice.choice(("/start", invited, "/start style_gift", "hello", "/cabinet")))
    if dice.random() < 0.7:
        await walker.press_on([*walker.keys][-1], b.AcceptTerms(version=TERMS_VERSION).pack())
    trail: list[str] = []
    for number in range(STEPS):
        walker.look()
        what = ""
        try:
            walker.ledger.loses = 0.1
            what = await _checked_step(walker, dice)
            left = await stand(walker.ledger.done.values())
            assert left == others, "somebody else's was touched"
        except Exception as error:
            last = what or walker.last
            raise AssertionError(f"{told}, step {number}: {last}; before: {trail[-6:]}") from error
        trail.append(what)
        did[what.split(" ")[0].split(":")[0][:12]] += 1
        did["orders"] = len(walker.ledger.orders)
    walker.ledger.loses = 0
    try:
        await _gets_out(walker)
    except Exception as error:
        raise AssertionError(f"{told}, way out, after {trail[-8:]}; heard {walker.told[-6:]}") from error
    return did


async def _checked_step(walker: Walker, dice: random.Random) -> str:
    person = await walker.shop.people.of_telegram(ME)
    before = await walker.shop.drafts.open(person.account) if person else None
    balance = (await walker.shop.ledger.read.account(person.account)).balance if person else 0
    orders, heard = len(walker.ledger.orders), len(walker.told)
    finished = await _finished(walker)
    walker.touched.clear()
    walker.ended = "", True
    waited = before and not before.confirmed and (before.view or missing(before))
    if await walker.context.get_state() is not None or waited not in ("product", "wishes"):
        waited = ""
    walker.wrote = ""
    if dice.random() < 0.05:
        away = TelegramNetworkError(method=SendMessage(chat_id=ME, text=""), message="away")
        walker.session.answers.append(away)
    try:
        did, may_order = await walker.step()
    except (TelegramNetworkError, LedgerUnavailableError):
        did, may_order = f"failed once: {_words(walker.last)}", True
        walker.session.answers.clear()
        walker.ledger.loses = 0
        await walker.once_more()  # the inbox does it again
    walker.session.answers.clear()
    walker.look()
    try:
        await _holds(walker, did, before, may_order, orders, finished)
        await _took_words(walker, before, waited or "")
        _told_balances(walker, heard, balance, (await _account(walker)))
    except AssertionError as error:
        raise AssertionError(f"{did}: {error}") from error
    return did


def _words(event: Mapping[str, Any]) -> str:
    (kind, body), *_ = event.items()
    return f"{kind} {body.get('data') or body.get('text') or ''}"[:70]


async def _account(walker: Walker) -> int:
    person = await walker.shop.people.of_telegram(ME)
    return (await walker.shop.ledger.read.account(person.account)).balance if person else 0


def _told_balances(walker: Walker, heard: int, before: int, now: int) -> None:
    """What the chat says of the balance is what the log says."""
    for text in (told for told in walker.told[heard:] if "🛠" not in told):
        for english, russian in _BALANCE.findall(text):
            assert min(before, now) <= int(english or russian) <= max(before, now), f"{text}: {before}, {now}"


async def _finished(walker: Walker) -> dict[int, str]:
    """Cards of placed orders, by message."""
    found = [await walker.shop.drafts.find(name) for name in walker.drafted_ids]
    return {draft.message_id: draft.draft for draft in found if draft and draft.ordered and draft.message_id}


async def _holds(
    walker: Walker, did: str, before: Draft | None, may_order: bool, orders: int, finished: dict[int, str]
) -> None:
    new = walker.ledger.orders[orders:]
    assert len(new) <= 1, "two orders at once"
    for placed in new:
        assert before is not None and placed.order == before.draft, "an order of nothing that was shown"
        assert may_order or before.confirmed, "an order that nobody confirmed"
        assert before.shown == before.version or before.confirmed, "an order that the card did not show"
        assert (placed.style, placed.price, len(placed.jobs)) == (before.style, before.price, before.number)
    touched = [] if walker.last is walker.forgery else [m for m in walker.touched if m in finished]
    assert not touched, "the notifier's card was edited"
    person = await walker.shop.people.of_telegram(ME)
    now = await walker.shop.drafts.open(person.account) if person else None
    if now is not None:
        walker.drafted_ids[now.draft] = now
        assert {now.words.product, now.words.wishes} <= walker.typed, f"never typed: {now.words}"
        keys = walker.keys.get(now.message_id or 0, [])
        if not now.confirmed and now.message_id in walker.kinds and now.shown == now.version:
            assert any("|cancel|" in key or "|view|" in key for key in keys), f"no way out: {keys}"
    elif walker.ended[0] and not walker.ended[1]:
        assert await walker.context.get_state() is not None, f"no way on: {walker.ended[0]}"
    if before is not None and now is not None and now.draft == before.draft:
        assert now.words.product or not before.words.product, "what was typed is lost"
        emptied = "|empty|" in did or did.startswith(("again", "failed"))
        assert now.words.wishes or not before.words.wishes or emptied, "wishes are lost"
    for message, name in (await _finished(walker)).items():
        if name not in walker.notified:
            alive = walker.keys.get(message)
            assert not alive, f"buttons of a finished order are alive: {alive}"


async def _took_words(walker: Walker, before: Draft | None, waited: str) -> None:
    """What was typed where words were waited for is in the order, or asked about."""
    text = accepted_text(walker.wrote)
    if before is None or not waited or text is None or walker.wrote.startswith("/"):
        return
    draft = await walker.shop.drafts.find(before.draft)
    if draft is None or text_intent.intent_of(text, load_styles()) is not None or walker.was_cut:
        return
    assert getattr(draft.words, waited) == text, f"{waited}: {text[:40]} is lost"


async def _gets_out(walker: Walker) -> None:
    """From wherever they are: /menu has buttons, and three taps after a photo are an order."""
    await walker.world.shop.ledger.execute(ResumeSales(OPERATOR, "tests"), key=new_id())
    walker.session.answers.clear()
    await walker.say("/menu")
    person = await walker.shop.people.of_telegram(ME)
    assert person is not None
    if (await walker.shop.ledger.read.account(person.account)).terms != TERMS_VERSION:
        terms = b.AcceptTerms(version=TERMS_VERSION).pack()
        assert terms in [*walker.keys.values()][-1], "the terms have no button"
        await walker.tap(terms, message_id=[*walker.keys][-1])
    grant = c.GrantCredits(person.account, 100, "manual", "test", actor=OPERATOR)
    await walker.ledger.execute(grant, key=new_id())
    for _time in range(2):
        await walker.say("/cancel")
    assert await walker.context.get_state() is None, "what is waited for cannot be left"
    assert await walker.shop.drafts.open(person.account) is None, "an order that cannot be left"
    await walker.say("/menu")
    assert [*walker.keys.values()][-1], "a menu without buttons"
    orders = len(walker.ledger.orders)
    await walker.photo(10 + walker._update_id, caption="a red mug")
    draft = await walker.shop.drafts.open(person.account)
    assert draft is not None and draft.words.product == "a red mug"
    style = b.CardButton(do="style", value="gift", draft=draft.draft, version=draft.version)
    await walker.tap(style.pack(), draft.message_id or 0)
    draft = await walker.shop.drafts.open(person.account)
    assert draft is not None
    await walker.tap(b.Order(draft=draft.draft, version=draft.version).pack(), draft.message_id or 0)
    assert len(walker.ledger.orders) == orders + 1, "it cannot be ordered"


async def walk_in_memory(seed: int) -> None:
    dice = random.Random(seed)
    await walk(memory_world(dice), dice, f"seed {seed}")
