"""What is judged before an order is charged, what is remembered, and how a seller changes it."""

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from services.accounts.personal_data import Brief
from services.adapters.openai.errors import OpenAINoAnswerError
from services.adapters.telegram.callback_data import Order
from services.bot.screens.refusals import kind_name, refused_text
from services.platform.blobs import one_chunk
from tests.support.bot_session import TEXTS, MemoryJudge, memory_shop
from tests.support.each import each
from tests.unit.services.bot.handlers.test_all import DRAFT, Desk

PHOTO = b"a photo"
PRODUCT, WISHES = "a red mug", "with steam"


class Judged(Desk):
    """A desk with one draft on the confirm screen."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(memory_shop(**settings))

    @property
    def judge(self) -> MemoryJudge:
        judge: Any = self.shop.moderation._judge
        assert isinstance(judge, MemoryJudge)
        return judge

    async def confirming(self, style: str = "ugc") -> None:
        await self.accepted()
        draft = replace(DRAFT, style=style, words=Brief(PRODUCT, WISHES))
        await self.shop.blobs.put(draft.photo, one_chunk(PHOTO), size_bytes_max=100)
        await self.drafted(draft)

    async def order(self) -> str:
        return await self.tap(Order(draft="d1", version=self.drafts["d1"].version).pack())

    @property
    def shown(self) -> str:
        return self.captions[-1]


@pytest.fixture
async def desk() -> Judged:
    desk = Judged()
    await desk.confirming()
    return desk


async def test_what_passes_is_ordered_and_each_part_was_asked_about_once(desk: Judged) -> None:
    assert "1 credit charged" in await desk.order()
    assert desk.judge.asked == [PHOTO, PRODUCT, WISHES] and len(desk.orders) == 1


async def test_a_flag_says_what_and_why_and_charges_nothing_however_often_it_is_tapped(desk: Judged) -> None:
    desk.judge.bad = {PHOTO: ("sexual",), WISHES: ("hate", "violence")}
    for _ in range(10):
        assert "Nothing was charged" in await desk.order()
    assert desk.orders == [] and len(desk.judge.asked) == 3
    assert "the photo: nudity or sexual content" in desk.shown
    assert "the wishes: hatred towards people, violence or injuries" in desk.shown
    assert "the description" not in desk.shown
    assert (await desk.shop.ledger.read.account("a5")).balance == 2


async def test_changed_words_are_judged_anew_and_the_rest_is_not(desk: Judged) -> None:
    desk.judge.bad = {WISHES: ("violence",)}
    await desk.order()
    assert "with steam" in desk.shown and "the wishes: violence" in desk.shown
    desk.judge.asked.clear()
    await desk.drafted(replace(desk.drafts["d1"], words=Brief(PRODUCT, "with ice")))
    assert "1 credit charged" in await desk.order()
    assert desk.judge.asked == ["with ice"]


@pytest.mark.parametrize("reason", ["quota", "region", "timeout", "unavailable", "bad_answer"])
async def test_without_a_verdict_the_order_goes_through_and_is_not_remembered(
    desk: Judged, reason: Any
) -> None:
    desk.judge.failure = OpenAINoAnswerError(reason)
    with capture_logs() as logs:
        assert "1 credit charged" in await desk.order()
    skipped = [entry for entry in logs if entry["event"] == "moderation_skipped"]
    assert [entry["reason"] for entry in skipped] == [reason, reason]
    assert all(words not in str(logs) for words in (PRODUCT, WISHES))
    verdicts: Any = desk.shop.moderation._verdicts
    assert verdicts.kept == {}


async def test_a_part_that_could_not_be_judged_does_not_hide_the_other(desk: Judged) -> None:
    desk.judge.bad = {PRODUCT: ("illegal",)}
    blobs: Any = desk.shop.blobs
    blobs.kept.clear()
    assert "Nothing was charged" in await desk.order()
    assert "the photo" not in desk.shown and "forbidden goods or acts" in desk.shown


async def test_the_worst_is_an_alarm_without_its_words(desk: Judged) -> None:
    desk.judge.bad = {PRODUCT: ("minors",)}
    with capture_logs() as logs:
        await desk.order()
        await desk.order()
    alarms = [entry for entry in logs if entry["event"] == "moderation_alarm"]
    assert len(alarms) == 1 and alarms[0]["log_level"] == "error" and alarms[0]["account"] == "a5"
    assert PRODUCT not in str(logs)


@each(("mode", "asked"), [("off", []), ("text", [PRODUCT, WISHES])])
async def test_the_setting(mode: str, asked: list[object]) -> None:
    desk = Judged(moderation=mode)
    await desk.confirming()
    desk.judge.bad = {PHOTO: ("violence",)}
    await desk.order()
    assert desk.judge.asked == asked and len(desk.orders) == 1


async def test_an_own_prompt_is_called_so(desk: Judged) -> None:
    own = Judged()
    await own.confirming("own")
    own.judge.bad = {WISHES: ("self_harm",)}
    await own.order()
    assert "the prompt: self-harm" in own.shown


@each("locale", ["ru", "en"])
def test_every_kind_has_words_in_both_languages(locale: str) -> None:
    kinds: Any = ("insult", "hate", "illegal", "self_harm", "sexual", "minors", "violence", "other")
    with TEXTS.context(), TEXTS.use_locale(locale):
        names = [kind_name(kind) for kind in kinds]
        assert len(set(names)) == len(kinds) and all(names)
        for kind, name in zip(kinds, names, strict=True):
            found: Any = dict.fromkeys(("photo", "product", "wishes"), (kind,))
            assert refused_text(DRAFT, found).count(name) >= 3
