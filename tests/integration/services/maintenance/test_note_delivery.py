"""Signed notes reach the sandbox's Telegram and a mail server, at least once each, whatever is in the way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ledger.checkpoints.checkpoint import Checkpoint, Restored, sign
from ledger.checkpoints.store import store
from ledger.log.ledger import Ledger
from services.adapters import smtp
from services.adapters.telegram.client import create_bot
from services.cli.doctor.servers import check_notes
from services.cli.main import app
from services.maintenance.note_delivery import NoteDelivery, query
from services.platform.settings import Settings, load_settings
from services.sandbox import chat, telegram
from services.sandbox.app import Clock
from tests.integration.services.maintenance.conftest import metric
from tests.support.certificates import tls_for
from tests.support.cli_runner import CliRunner
from tests.support.notes import KEY, make_note
from tests.support.outside import Outside, outside
from tests.support.smtp_server import PASSWORD, USER, MailServer, mail_server
from tests.support.traffic import Traffic
from tests.support.waiting import eventually

if TYPE_CHECKING:
    Pool = asyncpg.Pool[asyncpg.Record]

CHAT, OLGA, IVAN = 4242, "olga@example.org", "ivan@example.org"


@pytest.fixture
async def sandbox() -> AsyncIterator[Outside]:
    async with outside({"/telegram": telegram.routes, "/chat": chat.routes}, clock=Clock()) as running:
        await running.post(f"/chat/{CHAT}/send", {"text": "/start"})
        yield running


@pytest.fixture
async def mails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MailServer]:
    ours, theirs = tls_for("localhost", tmp_path)
    monkeypatch.setattr(smtp, "tls_context", lambda: theirs)
    async with mail_server(starttls=ours) as server:
        yield server


@pytest.fixture
def settings(sandbox: Outside, mails: MailServer, database_url: str) -> Settings:
    user, password = USER.replace("@", "%40"), PASSWORD.replace("/", "%2F")
    return load_settings(
        sandbox_url=sandbox.url, database_url=database_url, notes_chat_id=CHAT,
        notes_mail_to=f"{OLGA}, {IVAN}", smtp_url=f"smtp://{user}:{password}@localhost:{mails.port}",
    )  # fmt: skip


@pytest.fixture
async def delivery(settings: Settings, pool: "Pool") -> AsyncIterator[NoteDelivery]:
    bot = create_bot(settings)
    yield NoteDelivery(settings, pool, bot)
    await bot.session.close()


@pytest.fixture
async def traffic(ledger: Ledger) -> Traffic:
    traffic = Traffic(ledger)
    await traffic.play(2)
    return traffic


async def in_chat(sandbox: Outside) -> list[dict[str, Any]]:
    shown = (await sandbox.get(f"/chat/{CHAT}/messages"))["messages"]
    return [message for message in shown if message["from"]["is_bot"]]


async def due_again(pool: "Pool") -> None:
    """The back-off of all that was not sent is over."""
    await pool.execute("UPDATE note_deliveries SET due_at = clock_timestamp() WHERE sent_at IS NULL")


async def test_every_place_gets_the_newest_note_and_each_restoration_once(
    delivery: NoteDelivery,
    traffic: Traffic,
    ledger: Ledger,
    pool: "Pool",
    sandbox: Outside,
    mails: MailServer,
) -> None:
    assert await delivery.run_once() == 0  # nothing is signed yet
    first = await make_note(ledger)
    head = await ledger.read.head()
    told = await store(pool, KEY.sign(Restored(KEY.name, head, head, head, "anna", "a dump", 1).text()))
    await traffic.play(1)
    newest = await make_note(ledger)
    sent = await asyncio.gather(delivery.run_once(), delivery.run_once())  # two processes
    assert sum(sent) == 3 * 2
    assert await delivery.run_once() == 0
    came = {to: {m.get_content() for m in mail.iter_attachments()} for to, mail in mails.mails}
    assert len(mails.mails) == 4 and came.keys() == {OLGA, IVAN}
    for to in came:
        notes = [next(mail.iter_attachments()).get_content() for who, mail in mails.mails if who == to]
        assert sorted(notes) == sorted([told.note.encode(), newest.note.encode()])
    assert first.note.encode() not in came[OLGA]  # the newest vouches for it
    one, other = await in_chat(sandbox)
    sizes = {message["document"]["file_size"] for message in (one, other)}
    assert sizes == {len(note.encode()) for note in (told.note, newest.note)}
    assert {KEY.name in message["caption"] for message in (one, other)} == {True}
    assert metric("notes_owed_timestamp_seconds") == 0


async def test_what_another_process_takes_at_the_same_moment_is_not_taken(
    delivery: NoteDelivery,
    traffic: Traffic,
    ledger: Ledger,
    pool: "Pool",
    database_url: str,
    mails: MailServer,
) -> None:
    await make_note(ledger)
    async with pool.acquire() as other:
        taking = other.transaction()
        await taking.start()
        assert len(await other.fetch(query("notes_take"), f"mail {OLGA}", 10)) == 1
        here = asyncio.create_task(delivery.run_once())
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND wait_event_type = 'Lock' AND query LIKE '%note_deliveries%'"
        )
        await eventually(lambda: pool.fetchval(waiting), what="it waits for the other one's row")
        await taking.commit()
    assert await here == 2  # the chat and Ivan
    assert [to for to, _ in mails.mails] == [IVAN]


async def test_one_place_in_trouble_is_asked_again_and_holds_up_no_other(
    delivery: NoteDelivery, settings: Settings, traffic: Traffic, ledger: Ledger, pool: "Pool",
    sandbox: Outside, mails: MailServer, database_url: str,
) -> None:  # fmt: skip
    await make_note(ledger)
    sandbox.fault("telegram", "sendDocument", "500", times=2)
    mails.refuse = {IVAN}
    assert await delivery.run_once() == 1
    owed_s = metric("notes_owed_timestamp_seconds")
    assert await delivery.run_once() == 0  # not before its back-off is over
    assert [to for to, _ in mails.mails] == [OLGA] and not await in_chat(sandbox)
    due = "SELECT min(due_at - owed_at) FROM note_deliveries WHERE sent_at IS NULL"
    first = await pool.fetchval(due)
    await due_again(pool)
    assert await delivery.run_once() == 0
    second = await pool.fetchval(due.replace("owed_at", "clock_timestamp()"))
    assert second > 1.5 * first
    assert metric("notes_owed_timestamp_seconds") == owed_s > 0
    listed = await asyncio.to_thread(
        CliRunner().invoke, app, ["ledger", "checkpoints", "-o", "jsonl"], env={"DATABASE_URL": database_url}
    )
    assert "chat not yet TelegramServerError" in listed.stdout and "mail 20" in listed.stdout
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL ROLE neurocards_reader")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):  # addresses are not for auditors
            await connection.fetchval("SELECT place FROM note_deliveries")
    [check] = await check_notes(settings)
    assert check.state == "warn" and "not delivered since" in check.found
    await due_again(pool)
    mails.refuse = set()
    assert await delivery.run_once() == 2
    assert metric("notes_owed_timestamp_seconds") == 0
    [check] = await check_notes(settings)
    assert check.state == "ok" and OLGA in check.found


async def test_who_waits_is_told_from_the_first_note_that_did_not_come(
    delivery: NoteDelivery, traffic: Traffic, ledger: Ledger, pool: "Pool", mails: MailServer
) -> None:
    mails.refuse = {IVAN}
    await make_note(ledger)
    await delivery.run_once()
    owed_s = metric("notes_owed_timestamp_seconds")
    await traffic.play(1)
    await make_note(ledger)
    await delivery.run_once()
    assert metric("notes_owed_timestamp_seconds") == owed_s > 0  # not the newest one's time
    mails.refuse = set()
    await due_again(pool)
    assert await delivery.run_once() == 1  # the older one is not owed any more
    assert metric("notes_owed_timestamp_seconds") == 0
    assert [to for to, _ in mails.mails] == [OLGA, OLGA, IVAN]


async def test_a_row_that_is_no_note_is_told_and_stops_nothing(
    delivery: NoteDelivery, traffic: Traffic, ledger: Ledger, pool: "Pool", mails: MailServer
) -> None:
    await pool.execute(
        "INSERT INTO checkpoints VALUES (1, 'restored', 1, decode(repeat('00', 32), 'hex'), 'nothing')"
    )
    await pool.execute(
        "INSERT INTO checkpoints SELECT 2, 'checkpoint', 1, decode(repeat('00', 32), 'hex'), $1",
        sign(Checkpoint(KEY.name, 1, bytes(32)), [KEY]),
    )
    assert await delivery.run_once() == 3
    left = await pool.fetch("SELECT DISTINCT number, last_error FROM note_deliveries WHERE sent_at IS NULL")
    assert [tuple(row) for row in left] == [(1, "MalformedNoteError")]


async def test_without_a_place_the_doctor_says_that_nobody_keeps_them(tmp_path: Path) -> None:
    [check] = await check_notes(load_settings())
    assert check.state == "ok" and "proves nothing" in check.found
    [check] = await check_notes(load_settings(bot_token="123456:secret-token"))
    assert check.state == "warn" and "NOTES_MAIL_TO" in check.advice
