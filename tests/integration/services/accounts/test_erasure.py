"""Who writes about a person while they are erased cannot, or takes it back: docs/decisions/erasure.md."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ledger.log.ledger import Ledger
from ledger.sql import load_queries
from services.accounts.drafts import Draft, Drafts
from services.accounts.erase import Forgetting
from services.accounts.personal_data import Brief, PersonalData
from services.adapters.telegram.callback_data import CardButton, MyData, Order, TellMe
from services.bot.handlers import order as order_handlers
from services.bot.moderation import Verdicts
from services.payments.tracking_store import TrackedPayment, TrackingStore
from services.platform.blobs import FolderBlobs, one_chunk
from services.platform.ids import new_id
from services.platform.settings import Settings
from tests.support.erasing import CHAT_ID, PERSONAL, Scene
from tests.support.services import ROOT
from tests.support.stored_draft import store_draft
from tests.support.waiting import eventually
from tests.unit.services.bot.handlers.test_all import CHAT
from tests.unit.services.bot.test_photos import encoded, halves

query = load_queries("services.accounts")

PHOTO = "photos/cup.jpg"
HARMLESS = {"deliveries", "order_jobs", "status_messages", "payment_watch", "person_reads"}
"""They know accounts, and nothing else of a person that is not taken out when they are erased."""

Act = Callable[[Scene], Coroutine[Any, Any, None]]
Write = Callable[[Any, str], Coroutine[Any, Any, None]]


@pytest.fixture
def scene(
    settings: Settings,
    pool,
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Scene:
    async def download(bot: Any, file_id: str) -> bytes:
        return encoded(halves())

    monkeypatch.setattr(order_handlers, "download", download)
    return Scene(settings, pool, ledger, FolderBlobs(tmp_path))


async def test_whatever_names_an_account_is_fenced(pool) -> None:
    made = "".join(path.read_text("utf-8") for path in (ROOT / "services/migrations").glob("*.sql"))
    tables = re.findall(r"^CREATE TABLE (\w+)", made, flags=re.MULTILINE)
    rows = await pool.fetch(
        """SELECT c.table_name, f.confdeltype FROM information_schema.columns c
           LEFT JOIN pg_constraint f ON f.conrelid = c.table_name::regclass AND f.contype = 'f'
                AND f.confrelid = 'accounts'::regclass
           WHERE c.column_name = 'account' AND c.table_name = ANY ($1) AND c.table_name <> 'accounts'""",
        tables,
    )
    gone_with_them = {row["table_name"] for row in rows if row["confdeltype"] in (b"c", b"n")}
    assert gone_with_them == (set(PERSONAL) - {"accounts", "chat_states"}) | {"payment_requests"}
    assert {row["table_name"] for row in rows} - gone_with_them == HARMLESS


async def test_an_export_has_every_table_that_knows_a_person(pool) -> None:
    made = "".join(path.read_text("utf-8") for path in (ROOT / "services/migrations").glob("*.sql"))
    rows = await pool.fetch(
        """SELECT DISTINCT table_name FROM information_schema.columns
           WHERE column_name IN ('account', 'telegram_id', 'user_id', 'chat_id') AND table_name = ANY ($1)""",
        re.findall(r"^CREATE TABLE (?!dashboard_)(\w+)", made, flags=re.MULTILINE),  # those are no sellers
    )
    named = r"'(\w+)'(?: AS held)?, (?:row_to_json|json_build_object)"
    exported = re.findall(named, query("personal_export"))
    assert sorted(exported) == sorted(row["table_name"] for row in rows)


BROKEN = ("_fail_open_jobs", "_carry_debt", "_unlink", "_files_of")


async def test_who_erases_themselves_is_gone_though_each_step_is_killed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tap is handled again, however late; then only files are left, to maintenance."""

    async def dies(*_: Any) -> None:
        raise ConnectionError

    name = await with_draft(scene)
    await tap(scene, Order(draft=name, version=1).pack())
    account, at_s = scene.account, scene.desk.shop.ledger.now_us() // 1_000_000
    stale, sure = (MyData(do="erase", at=at).pack() for at in (at_s - 601, at_s))
    await tap(scene, stale)
    assert await scene.people.find(account) is not None and await events_of(scene, account, FORGOTTEN) == 0
    for step in BROKEN:
        with monkeypatch.context() as broken, pytest.raises(ConnectionError):
            broken.setattr(Forgetting, step, dies)
            await tap(scene, sure)
        sure = stale
    assert await scene.people.find(account) is not None
    with monkeypatch.context() as broken:
        broken.setattr(FolderBlobs, "delete", dies)
        await tap(scene, stale)
    left = await scene.left()
    assert left.keys() == {"files"} and await scene.people.find(account) is None
    marked = await scene.pool.fetchval("SELECT count(*) FROM swept_blobs WHERE why = 'erased'")
    unowned = await scene.pool.fetchval("SELECT count(*) FROM blobs WHERE account IS NULL")
    assert (marked, unowned) == (1, 1), "the photo, for maintenance"
    await tap(scene, sure)
    assert (await scene.left()).keys() == {"files"}, "a tap makes no account"
    assert await events_of(scene, account, FORGOTTEN) == 1
    await message(scene, text="/start")
    back = await scene.people.of_telegram(CHAT_ID)
    assert back is not None and back.account != account


FORGOTTEN = "AccountForgotten"


async def events_of(scene: Scene, account: str, type_name: str) -> int:
    sql = "SELECT count(*) FROM events WHERE stream = $1 AND type = $2"
    return int(await scene.pool.fetchval(sql, f"account-{account}", type_name))


async def text(scene: Scene) -> None:
    await with_draft(scene, view="product")
    await message(scene, text="my secret mug")


async def offered(scene: Scene) -> None:
    await with_draft(scene)
    await message(scene, text="my secret lid")


async def contact(scene: Scene) -> None:
    await scene.enter(contact=True)
    await message(scene, text="secret@example.org")


async def photo(scene: Scene) -> None:
    await scene.enter()
    await message(scene, photo=[{"file_id": "f", "file_unique_id": "u", "width": 9, "height": 9}])


async def choose(scene: Scene) -> None:
    name = await with_draft(scene)
    await tap(scene, CardButton(do="style", value="gift", draft=name, version=1).pack())


async def order(scene: Scene) -> None:
    name = await with_draft(scene)
    await tap(scene, Order(draft=name, version=1).pack())


async def tell_me(scene: Scene) -> None:
    await tap(scene, TellMe(draft=await with_draft(scene)).pack())


async def wrong_code(scene: Scene) -> None:
    await scene.enter()
    await message(scene, text="/promo SECRET25")


async def with_draft(scene: Scene, view: Any = "") -> str:
    """Enter with an order in the making; its draft."""
    await scene.enter()
    name = new_id()
    photo = f"photos/{name}.jpg"
    await scene.people.own_photo(photo, scene.account, 5, 10**9)
    await scene.blobs.put(photo, one_chunk(b"photo"), size_bytes_max=99)
    slug, price = scene.desk.shop.model.slug, scene.desk.shop.model.price_credits
    words = Brief("my secret mug")
    draft = Draft(
        name, scene.account, CHAT_ID, photo, name, words, 40, style="ugc", model=slug, price=price, view=view
    )
    await store_draft(scene.pool, draft)
    return name


async def message(scene: Scene, **content: Any) -> None:
    scene.erase_at = scene.wanted
    await scene.feed("message", message_id=20, date=1, chat=CHAT, **content)


async def tap(scene: Scene, data: str) -> None:
    shown = {"message_id": 40, "date": 1, "chat": CHAT, "text": "x"}
    scene.erase_at = scene.wanted
    await scene.feed("callback_query", id="q", chat_instance="1", message=shown, data=data)


WRITTEN: dict[Act, str] = {
    text: "drafts",
    offered: "drafts",
    contact: "payment_links",
    photo: "files",
    choose: "drafts",
    order: "drafts",
    tell_me: "notice_requests",
    wrong_code: "wrong_codes",
}


@pytest.mark.parametrize("act", WRITTEN)
async def test_erased_at_any_step_of_a_handler_nothing_is_left(scene: Scene, act: Act) -> None:
    """Before and after everything it reads and writes, in turn."""
    await act(scene)
    steps = scene.steps
    assert steps > 4 and WRITTEN[act] in await scene.left()
    await scene.forgetting.forget(scene.account, actor="login:neurocards_operator", reason="asked")
    for scene.wanted in range(1, steps + 1):
        await act(scene)
        assert scene.steps >= scene.wanted
        assert await scene.left() == {}, f"erased at step {scene.wanted} of {steps}"


async def test_who_writes_after_being_erased_is_somebody_new(scene: Scene) -> None:
    scene.wanted = 3
    await text(scene)
    erased, scene.wanted = scene.account, 0
    await message(scene, text="hello again")
    again = await scene.people.of_telegram(CHAT_ID)
    assert again is not None and again.account != erased


async def write_text(connection: Any, account: str) -> None:
    await PersonalData(connection).keep_text(account, Brief("my secret mug"))


async def write_draft(connection: Any, account: str) -> None:
    await Drafts(connection).make(Draft("d1", account, 5, PHOTO, "b1", Brief("my secret mug")))


async def write_state(connection: Any, account: str) -> None:
    await connection.execute(
        "INSERT INTO chat_states SELECT telegram_id, NULL, '{}' FROM accounts WHERE account = $1", account
    )


async def write_blob(connection: Any, account: str) -> None:
    await PersonalData(connection).own_photo(PHOTO, account, 5, 10**9)


async def write_verdict(connection: Any, account: str) -> None:
    await Verdicts(connection).keep(account, {"text:1": ()})


async def write_wish(connection: Any, account: str) -> None:
    await Drafts(connection).tell_when_it_works(account, "", 1)


async def write_code(connection: Any, account: str) -> None:
    await PersonalData(connection).note_wrong_code(account)


async def write_link(connection: Any, account: str) -> None:
    link = TrackedPayment("p1", account, contact="79001234567", chat_id=5)
    await TrackingStore(connection).reserve(link, "yookassa")


async def write_request(connection: Any, account: str) -> None:
    await connection.execute(
        """INSERT INTO payment_links (payment, account, contact) VALUES ('p1', $1, '79001234567')
           ON CONFLICT DO NOTHING""",
        account,
    )
    await TrackingStore(connection).ask("p1", "", account, lambda contact: {"receipt": contact})


WRITES = [
    write_text,
    write_draft,
    write_state,
    write_blob,
    write_verdict,
    write_wish,
    write_code,
    write_link,
    write_request,
]
BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


async def nothing_left(scene: Scene) -> None:
    assert await scene.left() == {}
    assert await scene.pool.fetchval("SELECT count(*) FROM payment_requests") == 0


@pytest.mark.parametrize("write", WRITES)
async def test_what_is_written_just_before_goes_too(scene: Scene, owner, write: Write) -> None:
    """The writer's transaction is open when the erasure begins."""
    account = (await scene.enter()).account
    async with scene.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await write(connection, account)
        erasing = asyncio.create_task(
            scene.forgetting.forget(account, actor="login:neurocards_operator", reason="r")
        )
        await eventually(lambda: owner.fetchval(BLOCKED), 4)
        await transaction.commit()
        await erasing
    await nothing_left(scene)


@pytest.mark.parametrize("write", WRITES)
async def test_what_is_written_just_after_is_refused(scene: Scene, owner, write: Write) -> None:
    """The erasure's transaction is open when the writer begins."""
    account = (await scene.enter()).account
    async with scene.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(query("disown_blobs"), account)
        await connection.execute(query("forget_account"), account)
        writing = asyncio.create_task(write(scene.pool, account))
        await eventually(lambda: owner.fetchval(BLOCKED), 4)
        await transaction.commit()
        try:
            await writing
        except asyncpg.ForeignKeyViolationError:
            assert write not in (write_link,)
    await nothing_left(scene)


async def test_a_receipts_address_is_not_kept_when_its_person_was_erased_meanwhile(scene: Scene) -> None:
    account = (await scene.enter()).account
    links = TrackingStore(scene.pool)
    await links.reserve(TrackedPayment("p1", account, contact="79001234567"), "yookassa")
    read = links.link

    async def link(payment: str) -> TrackedPayment | None:
        found = await read(payment)
        await scene.forgetting.forget(account, actor="login:neurocards_operator", reason="r")
        return found

    links.link = link  # type: ignore[method-assign]
    asked = await links.ask("p1", "", account, lambda contact: {"receipt": contact})
    assert "7900" not in asked.request
    assert await scene.pool.fetchval("SELECT account FROM payment_requests") is None
