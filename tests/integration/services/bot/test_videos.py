"""My videos: by Telegram's file while it knows it, else by ours; pages; what was swept; nobody else's."""

from pathlib import Path
from typing import Any, cast

from services.adapters.telegram.callback_data import Video
from services.bot.order_history import History
from services.platform.blobs import BlobStore, FolderBlobs, one_chunk
from services.rehearsal.chat_client import Button, Message
from services.sandbox.video import placeholder, render
from tests.integration.services.bot.people import CREATE, BotWorld, Visitor


def blobs_of(world: BotWorld) -> BlobStore:
    return FolderBlobs(Path(world.bot.folder.parent.parent, "data", "blobs"))


async def made(world: BotWorld, visitor: Visitor, names: list[str]) -> list[int]:
    """Videos of ours for the visitor's open jobs, which Telegram does not know; their positions."""
    found, film = [], render(placeholder())
    sql = "SELECT job, account FROM open_jobs JOIN accounts USING (account) WHERE telegram_id = $1 ORDER BY 1"
    for (job, account), name in zip(await world.rows(sql, visitor.chat.user_id), names, strict=True):
        await blobs_of(world).put(name, one_chunk(film), size_bytes_max=len(film))
        await world.rows(
            "INSERT INTO blobs (blob, account, used_at, logged) VALUES ($1, $2, 'infinity', true)",
            name,
            account,
        )
        (row,) = await world.rows(
            """INSERT INTO deliveries (job, kind, position, account, order_id, number, of_jobs, locale, blob,
                                       size_bytes, state, file_id)
               SELECT $1, 'video', position, $2, data ->> 'order', 1, 2, 'en', $3, $4, 'sent', 'BAACnobody'
               FROM events WHERE stream = 'job-' || $1 ORDER BY version LIMIT 1 RETURNING position""",
            job, account, name, len(film),
        )  # fmt: skip
        found.append(row["position"])
    return sorted(found)


async def test_videos_are_sent_again_so_often_in_an_hour(pool: Any) -> None:
    """Counted for all bots together."""
    people = "INSERT INTO accounts (account, telegram_id, locale) VALUES ('a', 5, 'en'), ('b', 6, 'en')"
    await pool.execute(people)
    one, other = (History(pool, cast(Any, None)) for _ in range(2))
    assert [await each.sent_again(5) for each in (one, other, one)] == [1, 2, 3]
    assert await other.sent_again(6) == 1
    await pool.execute("UPDATE chat_states SET again_hour = again_hour - 1")
    assert await one.sent_again(5) == 1


SWEEP = "UPDATE blobs SET account = NULL WHERE blob = (SELECT blob FROM deliveries WHERE position = $1)"


def tap_on(message_id: int, do: Any, position: int) -> Button:
    return Button(message_id, "", Video(do=do, position=position).pack())


def shown(visitor: Visitor, kind: str) -> list[Message]:
    return [message for message in visitor.chat.from_bot() if kind in message]


async def test_videos_one_by_one_again_as_files_and_when_nothing_is_kept(
    visitor: Visitor, other_visitor: Visitor, world: BotWorld
) -> None:
    await visitor.enter()
    await visitor.say("/videos")
    await visitor.hears("No videos yet")
    await visitor.tap(await visitor.to_confirm(2))
    await visitor.hears("in the queue")
    tag = visitor.chat.user_id
    older, newer = await made(world, visitor, [f"videos/{tag}-1.mp4", f"videos/{tag}-2.mp4"])

    await visitor.say("/videos")  # Telegram does not know the file: it is uploaded, and known from then on
    assert "A red mug" in await visitor.hears("My videos")
    (first,) = shown(visitor, "video")
    panel = first["message_id"]
    await visitor.tap(tap_on(panel, "show", older))
    await visitor.chat.until(lambda _: len(shown(visitor, "video")) == 2, 60, "the older one, uploaded")
    second = shown(visitor, "video")[-1]["message_id"]
    await visitor.chat.until(lambda _: not visitor.buttons(panel), 60, "the first without buttons")
    await visitor.tap(tap_on(second, "show", newer))  # known by now: edited in place
    back = Video(do="show", position=older).pack()
    await visitor.chat.until(lambda _: visitor.buttons(second)[1] == back, 60, "1/2")
    assert len(shown(visitor, "video")) == 2
    files = await world.rows("SELECT file_id FROM deliveries WHERE position = ANY ($1)", [older, newer])
    assert "BAACnobody" not in [row["file_id"] for row in files]

    await visitor.tap(tap_on(second, "again", newer))
    await visitor.chat.until(lambda _: len(shown(visitor, "video")) == 3, 60, "the video again")
    assert visitor.buttons(shown(visitor, "video")[-1]["message_id"]) == []
    await visitor.tap(tap_on(second, "file", newer))
    await visitor.chat.until(lambda _: shown(visitor, "document"), 60, "the file")
    assert shown(visitor, "document")[0]["document"]["file_name"] == "video.mp4"

    await world.rows(SWEEP, newer)
    await visitor.tap(tap_on(second, "show", newer))
    assert "no longer kept" in await visitor.tap(tap_on(second, "file", newer))
    await world.rows("UPDATE deliveries SET file_id = 'BAACnobody' WHERE position = $1", newer)
    await visitor.tap(tap_on(second, "again", newer))
    assert len(shown(visitor, "video")) == 3
    await visitor.tap(tap_on(second, "show", newer))
    assert "neither here nor by Telegram" in await visitor.hears("no longer kept")

    await other_visitor.enter()
    await other_visitor.say("/videos")
    await other_visitor.hears("Видео пока нет")
    await other_visitor.press(CREATE)
    await other_visitor.hears("фото")
    for do in ("file", "again"):
        await other_visitor.tap(tap_on(other_visitor.chat.from_bot()[-1]["message_id"], do, newer))
    assert shown(other_visitor, "video") == shown(other_visitor, "document") == []
