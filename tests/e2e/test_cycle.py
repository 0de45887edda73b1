"""A person's whole path, on a system as `neurocards up` starts it."""

import json

import pytest

from services.platform.settings import load_settings
from services.rehearsal.scenarios import SCENARIOS
from services.rehearsal.seller import is_video
from tests.support.playing import ANSWER_S, BLUE, CREDITS, RED, Play
from tests.support.private_files import others_may
from tests.support.video import film_of
from tests.support.waiting import eventually

MODEL = load_settings().openai_model

SMALL_VIDEOS = False


async def test_the_seller_gets_a_video_in_which_their_photo_moves(play: Play) -> None:
    seller = play.seller()
    order = await play.order(seller)
    await seller.results(order, 1, ANSWER_S)
    said = seller.chat.from_bot()
    (card,) = (m["message_id"] for m in said if "photo" in m)
    left = ["video" if is_video(m) else "card" for m in said if m["message_id"] >= card]
    assert await play.settled(seller, order) == 1

    (message,) = await seller.results(order, 1, 0)
    assert left == ["card", "video"], "all that an order leaves in the chat"
    film = film_of(await seller.chat.file(message["video"]["file_id"]))
    assert film.codec == "h264"
    assert list((play.stack.folder / "data/blobs").rglob("*.mp4")), "as photos lie there"
    assert others_may(play.stack.folder / "data") == []
    assert len(film.frames) >= 40
    assert 3 <= film.duration_s <= 10
    assert film.moves() > 2
    for frame in (0, -1):
        assert film.share_of(RED, frame) > 0.1
        assert film.share_of(BLUE, frame) > 0.02


async def test_the_worker_tells_who_writes_its_prompts_and_how_long_the_model_stays(play: Play) -> None:
    seller = play.seller()
    assert await play.settled(seller, await play.order(seller)) == 1
    worker = json.loads((play.stack.folder / "data/run/worker.json").read_text())["health_url"]

    async def told() -> bool:
        metrics = (await play._http.get(f"{worker}/metrics")).text
        return (
            'neurocards_worker_prompts_total{reason="",source="openai"}' in metrics
            and f'neurocards_openai_model_end_timestamp_seconds{{model="{MODEL}"}} 0.0' in metrics
            and "neurocards_worker_prompt_fallback_share_max 0.2" in metrics
        )

    await eventually(told)


async def test_a_refusal_brings_the_credit_back_and_says_what_to_change(play: Play) -> None:
    seller = play.seller()
    (policy,) = [scenario for scenario in SCENARIOS if scenario.name == "policy"]
    product = play.product(seller)
    await play.sandbox.inject([fault.rule(product.name, seller.chat.user_id) for fault in policy.faults])

    order = await play.order(seller)
    assert await play.settled(seller, order) == 0

    (message,) = await seller.results(order, 1, 0)
    assert not is_video(message)
    assert "credit is back" in message["text"]
    assert await seller.balance() == CREDITS
    assert await play.error_classes(seller) == ["user_violation"]


async def test_three_videos_in_one_order_are_three_charges_and_three_videos(play: Play) -> None:
    seller = play.seller()
    order = await play.order(seller, videos=3)
    assert await play.settled(seller, order, videos=3) == 3


async def test_a_button_tapped_three_times_charges_once(play: Play) -> None:
    seller = play.seller()
    order = await play.order(seller, taps=3)
    assert await play.settled(seller, order) == 1


@pytest.mark.chaos
async def test_a_job_is_taken_over_when_the_whole_system_stops_and_starts(play: Play) -> None:
    seller = play.seller()
    order = await play.order(seller)
    job = await play.charged(seller)
    assert await play.log_watch.until(job, "SubmissionAccepted", 20)

    await play.restart()

    assert await play.settled(seller, order) == 1
    await play.everything_holds()
