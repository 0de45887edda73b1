"""The order form: a person's step and inputs, in Redis to survive restarts.

    photo ──▶ product ──▶ style ──▶ wishes ──▶ count ──▶ confirm ──▶ (ordered)

Only the place is here. From the confirm screen on, the draft in Postgres is what counts.
"""

from typing import Any

import msgspec
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.base import DefaultKeyBuilder
from aiogram.fsm.storage.redis import RedisStorage
from aiogram.types import TelegramObject
from redis.asyncio import Redis

from services.accounts.personal_data import Brief, Draft
from services.platform.ids import new_id
from services.platform.redis_keys import CHAT_STATE_PREFIX

KEPT_S = 7 * 24 * 3600
COUNTS = (1, 3, 5)


class Create(StatesGroup):
    photo = State()
    product = State()
    style = State()
    wishes = State()
    count = State()
    confirm = State()


class TopUpStep(StatesGroup):
    """The only step of buying that waits for words."""

    contact = State()


class Buying(msgspec.Struct, frozen=True):
    """The package being bought while the receipt's address is asked for."""

    payment: str
    package: str
    draft: str
    message_id: int
    """The message that will show how the payment stands."""
    back: str | None
    """The step that was left for it."""


class OrderForm(msgspec.Struct, omit_defaults=True):
    """Inputs so far. New fields need defaults: a form may be older than the code."""

    id: str = ""
    """Which making of an order this is; the buttons of its steps carry it."""
    early: dict[str, Any] = {}
    """The message with a photo that came before the terms were accepted."""
    photo: str = ""
    """Blob key of the prepared photo."""
    photo_message: int = 0
    """The message the photo came with; the confirm screen quotes it."""
    album: str = ""
    """The album the photo came in; its other photos are left aside."""
    album_told: bool = False
    cut_text: int = 0
    """The message whose text was refused as the beginning of a longer one; its rest may follow."""
    product: str = ""
    product_message: int = 0
    """The message that says so."""
    style: str = ""
    wishes: str = ""
    wishes_message: int = 0
    draft: str = ""
    """Id of the draft that the count step will make; the same when asked twice."""
    buying: Buying | None = None
    contact_message: int = 0
    """The message with the receipt's address; should it come again, it is no text for an order."""
    route: tuple[str, ...] = ()
    """The names of the steps that are gone through again, where not all are; empty: the usual way."""


def storage(redis: Redis) -> RedisStorage:
    """FSM storage; forgotten after a week of silence."""
    return RedisStorage(
        redis, key_builder=DefaultKeyBuilder(prefix=CHAT_STATE_PREFIX), state_ttl=KEPT_S, data_ttl=KEPT_S
    )


async def load_form(state: FSMContext) -> OrderForm:
    """The form; an empty one when there is none or it cannot be read any more."""
    try:
        return msgspec.convert(await state.get_data(), OrderForm)
    except (msgspec.ValidationError, ValueError):
        return OrderForm()


async def save_form(state: FSMContext, flow: OrderForm) -> None:
    data: dict[str, Any] = msgspec.to_builtins(flow)
    await state.set_data(data)


async def is_current(event: TelegramObject, callback_data: Any, state: FSMContext) -> bool:
    """Filter: the button is of the order being made, or Redis kept the step and lost the order."""
    flow, step = await load_form(state), await state.get_state()
    return flow.id == callback_data.flow or (not flow.id and (step or "").startswith("Create:"))


async def unfinished(state: FSMContext) -> OrderForm | None:
    """The order being made, if another would lose it: it has a photo and no draft yet."""
    flow, step = await load_form(state), await state.get_state()
    if step == TopUpStep.contact.state and flow.buying is not None:
        step = flow.buying.back
    return flow if flow.photo and step not in (None, Create.photo.state, Create.confirm.state) else None


def step_after(step: str, flow: OrderForm, usual: State) -> str:
    """The next step of the form's route, or the usual one. Idempotent."""
    name = step_name(step)
    if name in flow.route[:-1]:
        usual = getattr(Create, flow.route[flow.route.index(name) + 1])
    return str(usual.state)


def step_name(step: str | None) -> str:
    """`photo` of `Create:photo`; empty for no step."""
    return (step or "").rpartition(":")[2]


def from_draft(draft: Draft, brief: Brief) -> OrderForm:
    return OrderForm(
        id=new_id(),
        photo=draft.photo,
        product=brief.product,
        product_message=draft.product_message,
        wishes=brief.wishes,
        wishes_message=draft.wishes_message,
        style=draft.style,
        draft=new_id(),
    )
