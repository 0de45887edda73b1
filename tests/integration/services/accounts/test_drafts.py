"""Drafts in Postgres: what a confirmation fixes, and that nothing passes it."""

from msgspec.structs import replace

from services.accounts.drafts import Draft, Drafts, Offered
from services.accounts.personal_data import Brief, PersonalData


async def test_a_confirmation_fixes_who_makes_it_and_nothing_changes_it_any_more(pool) -> None:
    account = (await PersonalData(pool).account_of(900_000_001, "en")).account
    drafts = Drafts(pool)
    made = await drafts.make(Draft("d1", account, 5, "p", "b1", Brief("mug"), model="old"))
    assert made is not None
    offered = Offered(7, "a vase", "f1", 9, "album")
    seen = await drafts.look("d1", "styles", offered)
    assert seen is not None and (seen.view, seen.offered) == ("styles", offered)
    confirmed = await drafts.confirm(replace(made, model="new"), ["j1"], 70)
    assert confirmed is not None and (confirmed.model, confirmed.jobs) == ("new", ("j1",))
    assert (confirmed.changed_by, confirmed.version, confirmed.view, confirmed.offered) == (70, 2, "", None)
    assert await drafts.confirm(confirmed, ["j2"], 71) is None
    assert await drafts.change(replace(confirmed, number=2), 71) is None
    assert await drafts.look("d1", "styles") is None
    assert await drafts.make(replace(made, draft="d2", brief="b2")) is None
    await drafts.drop("d1")
    assert await drafts.open(account) == confirmed
    await pool.execute(
        "INSERT INTO status_messages (subject, name, account, shown) VALUES ('order', 'd1', $1, 1)", account
    )
    await drafts.show_order("d1")
    assert await pool.fetchval("SELECT wanted > shown FROM status_messages WHERE name = 'd1'")


async def test_a_bot_that_lost_its_turn_takes_no_card_from_its_successor(pool) -> None:
    account = (await PersonalData(pool).account_of(900_000_001, "en")).account
    drafts = Drafts(pool)
    made = await drafts.make(Draft("d1", account, 5, "p", "b1", Brief("mug")))
    assert made is not None
    changed = await drafts.change(replace(made, number=2), 1)
    assert changed is not None
    await drafts.sent(changed, 12, "f2")
    await drafts.sent(made, 10, "f1")
    kept = await drafts.find("d1")
    assert kept is not None and (kept.message_id, kept.shown, kept.photo_file) == (12, 2, "f2")
