"""What the scripts refuse."""

from events.envelope import Cursor
from services.platform.redis_keys import LEDGER
from services.streams import entries
from services.streams.publisher.scripts import Place, Scripts
from tests.support.traffic import Traffic


async def test_the_script_refuses_another_hash_before_the_batch(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(10)
    relay = await start_relay()
    await published()
    await relay.end()
    scripts = Scripts(redis, ledger_entries_max=1000)
    state = await scripts.state()
    assert state.last is not None
    await traffic.play(1)
    events = await ledger.read.events_after(state.last.position)

    wrong = Place(Cursor(state.last.position, bytes(32)), state.jobs_last, state.epoch)
    assert await scripts.publish(wrong, events) is None
    assert await scripts.state() == state
    elsewhere = Place(state.last.cursor, "1-0", state.epoch)
    assert await scripts.publish(elsewhere, events) is None
    assert await scripts.state() == state
    before_a_wipe = Place(state.last.cursor, state.jobs_last, "1")
    assert await scripts.publish(before_a_wipe, events) is None
    assert await scripts.state() == state
    right = await scripts.publish(Place(state.last.cursor, state.jobs_last, state.epoch), events)
    assert right is not None and right.cursor == events[-1].cursor


async def test_the_script_refuses_another_position_also_when_no_entry_is_left_to_compare(
    traffic: Traffic, start_relay, published, redis, ledger
):
    await traffic.play(10)
    relay = await start_relay()
    await published()
    await relay.end()
    scripts = Scripts(redis, ledger_entries_max=1000)
    await redis.xtrim(LEDGER, maxlen=0, approximate=False)
    state = await scripts.state()
    assert state.last is None
    published_last = entries.position_of(state.ledger_last)
    assert published_last is not None
    await traffic.play(2)
    missing_one = await ledger.read.events_after(published_last + 1)

    place = Place(Cursor(published_last + 1, bytes(32)), state.jobs_last, state.epoch)
    assert await scripts.publish(place, missing_one) is None
    assert await scripts.state() == state


async def test_making_anew_is_refused_once_the_streams_have_changed(traffic: Traffic, redis, ledger):
    await traffic.play(10)
    scripts = Scripts(redis, ledger_entries_max=1000)
    (base,) = await ledger.read.events_after(4, 1)
    seen = await scripts.state()
    first = await scripts.recover(seen, base, [])
    state = await scripts.state()

    assert first is not None
    assert await scripts.recover(seen, None, []) is None
    assert await scripts.state() == state
    assert (state.ledger_last, state.jobs_last) == ("5-0", "0-0")
